import { createECDH, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { makeKeyCertificate } from '../../certificates/local-x509.js';
import type { Identity } from '../../identity/identity.js';

/** The key that all nodes of one relay have, derived from the relay's identity: TLS has no signatures by secp256k1 keys. */
export interface NodeKey {
  readonly key: string;
  readonly cert: string;
  /** Whether the other end of an established TLS session has the same key. */
  isShared(socket: TLSSocket): boolean;
}

const PURPOSE = 'connections between nodes';
const COORDINATE_BYTES = 32;

export function nodeKeyOf(identity: Identity, now = new Date()): NodeKey {
  const key = p256Of(identity.derive(PURPOSE));
  const own = spkiOf(createPublicKey(key));
  return {
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: makeKeyCertificate(key, 'Portal node', now),
    isShared: (socket) => {
      const peer = socket.getPeerX509Certificate();
      return peer !== undefined && spkiOf(peer.publicKey).equals(own);
    },
  };
}

const base64url = (bytes: Buffer): string => bytes.toString('base64url');

const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });

/** The private key with this number (SEC 1 §3.2.1). */
function p256Of(secret: Buffer): KeyObject {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(secret);
  // Uncompressed: one byte, then both coordinates.
  const point = ecdh.getPublicKey();
  const [x, y] = [point.subarray(1, 1 + COORDINATE_BYTES), point.subarray(1 + COORDINATE_BYTES)];
  const jwk = { kty: 'EC', crv: 'P-256', d: base64url(secret), x: base64url(x), y: base64url(y) };
  return createPrivateKey({ format: 'jwk', key: jwk });
}
