import type { TLSSocket } from 'node:tls';
import type { Identity } from '../identity/identity.js';
import { checksumAddress, recoverAddress } from '../identity/keys.js';
import { PortalError } from '../lib/errors.js';

/**
 * How a relay proves its own key in `welcome`: a certificate tells whose domain answers, this tells which relay.
 * Bound to the control channel's TLS session, so that nobody can pass on another relay's proof.
 */

/** Label of the TLS exporter in the signed text (RFC 8446 §7.5; RFC 5705 §4 for the prefix). */
const EXPORTER_LABEL = 'EXPERIMENTAL-portal-relay';
const EXPORTER_BYTES = 32;

export interface RelayProof {
  /** The relay's own address, EIP-55. */
  readonly address: string;
  /** EIP-191 over the text below. */
  readonly signature: string;
}

interface Channel {
  /** The relay's URL, as the challenge names it. */
  readonly url: string;
  /** What the agent said in `hello`. */
  readonly nonce: string;
  /** The TLS session of the control channel, either end of it. */
  readonly socket: TLSSocket;
}

export function proveRelay(identity: Identity, channel: Channel): RelayProof {
  return { address: identity.address, signature: identity.sign(textOf(channel)) };
}

/** The address that is proven, EIP-55. Throws `relay_untrusted` when the proof is not of this very channel. */
export function verifyRelay({ address, signature }: RelayProof, channel: Channel): string {
  if (recoverAddress(textOf(channel), signature) === checksumAddress(address))
    return checksumAddress(address);
  throw new PortalError('relay_untrusted', `${channel.url} did not prove its own key ${address}`, {
    hint: 'Something between you and the relay ends TLS, a proxy that inspects traffic say. Let this host pass it untouched.',
  });
}

function textOf({ url, nonce, socket }: Channel): string {
  const session = socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
  return `Portal relay\n\nURL: ${url}\nNonce: ${nonce}\nSession: ${session.toString('hex')}`;
}
