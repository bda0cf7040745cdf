/** Making the certificates of the local CA. What they may be good for is decided in local-names.ts. */
import {
  createHash,
  createPublicKey,
  generateKeyPair,
  randomBytes,
  webcrypto,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import type { Name } from '@peculiar/x509';
import { PortalError } from '../lib/errors.js';
import { covers, LOCAL_DOMAINS, nameConstraints } from './local-names.js';

export interface LocalLeaf {
  /** PEM of the leaf only: a program that trusts the CA has the CA's certificate. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
  readonly notAfter: Date;
}

/** Makes one leaf, with a key of its own. Throws `certificate_unavailable` unless the CA covers every name. */
export type Issuer = (hostnames: readonly string[], now: Date) => Promise<LocalLeaf>;

const DAY_MS = 24 * 3_600_000;
const CA_LIFETIME_MS = 3652 * DAY_MS;
/** Browsers take no longer ones (CA/B baseline requirements 6.3.2: 398 days). */
const LEAF_LIFETIME_MS = 397 * DAY_MS;
/** For the clocks of visitors that are behind. */
const BACKDATE_MS = 3_600_000;

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const OID_SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const OID_NAME_CONSTRAINTS = '2.5.29.30';

/** Takes 150 ms to load, so only on first use. */
const x509 = () => import('@peculiar/x509');

const generateP256 = promisify(generateKeyPair);

/** A self-signed certificate for the CA's key, PEM, good for 10 years. */
export async function makeCaCertificate(key: KeyObject, now: Date): Promise<string> {
  const lib = await x509();
  const publicKey = spkiOf(key);
  const id = keyId(publicKey);
  // The name tells the CAs of several machines apart, and is the same for every certificate of one key.
  const name = new lib.Name([{ O: ['Portal'] }, { CN: [`Portal local CA ${id.slice(0, 8)}`] }]);
  const notBefore = wholeSeconds(now.getTime() - BACKDATE_MS);
  const certificate = await lib.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: name,
      issuer: name,
      notBefore,
      notAfter: wholeSeconds(notBefore.getTime() + CA_LIFETIME_MS),
      publicKey,
      signingKey: await signingKey(key),
      signingAlgorithm: SIGNING,
      extensions: [
        new lib.BasicConstraintsExtension(true, 0, true),
        new lib.KeyUsagesExtension(lib.KeyUsageFlags.keyCertSign | lib.KeyUsageFlags.cRLSign, true),
        new lib.ExtendedKeyUsageExtension([OID_SERVER_AUTH]),
        new lib.Extension(OID_NAME_CONSTRAINTS, true, nameConstraints()),
        new lib.SubjectKeyIdentifierExtension(id),
      ],
    },
    webcrypto,
  );
  return `${certificate.toString('pem')}\n`;
}

/** Prepares once what is the same for every leaf of a CA. */
export async function createIssuer(key: KeyObject, ca: X509Certificate): Promise<Issuer> {
  const lib = await x509();
  const caSigningKey = await signingKey(key);
  const issuer: Name = new lib.X509Certificate(ca.raw).subjectName;
  const subject = new lib.Name([{ O: ['Portal local certificate'] }]);
  const shared = [
    new lib.BasicConstraintsExtension(false, undefined, true),
    new lib.KeyUsagesExtension(lib.KeyUsageFlags.digitalSignature, true),
    new lib.ExtendedKeyUsageExtension([OID_SERVER_AUTH]),
    new lib.AuthorityKeyIdentifierExtension(keyId(spkiOf(key))),
  ];
  const caEnd = Date.parse(ca.validTo);

  return async (hostnames, now) => {
    const foreign = hostnames.find((hostname) => !covers(hostname));
    if (foreign !== undefined || hostnames.length === 0) {
      throw new PortalError(
        'certificate_unavailable',
        `the local CA makes no certificate for ${foreign ?? 'no hostname'}`,
        { hint: `It covers names under ${LOCAL_DOMAINS.join(', ')}, and loopback addresses.` },
      );
    }
    const leaf = await newKey();
    const notBefore = wholeSeconds(now.getTime() - BACKDATE_MS);
    const notAfter = wholeSeconds(Math.min(notBefore.getTime() + LEAF_LIFETIME_MS, caEnd));
    const certificate = await lib.X509CertificateGenerator.create(
      {
        serialNumber: newSerial(),
        subject,
        issuer,
        notBefore,
        notAfter,
        publicKey: leaf.spki,
        signingKey: caSigningKey,
        signingAlgorithm: SIGNING,
        extensions: [
          ...shared,
          new lib.SubjectAlternativeNameExtension(hostnames.map((hostname) => alternativeName(hostname))),
          new lib.SubjectKeyIdentifierExtension(keyId(leaf.spki)),
        ],
      },
      webcrypto,
    );
    return { cert: `${certificate.toString('pem')}\n`, key: leaf.privatePem, notAfter };
  };
}

function alternativeName(hostname: string): { type: 'ip' | 'dns'; value: string } {
  return isIP(hostname) ? { type: 'ip', value: hostname } : { type: 'dns', value: hostname.toLowerCase() };
}

/** A new P-256 key: the public half as DER, the private one as PKCS #8 PEM. */
export async function newKey(): Promise<{ spki: Buffer; privatePem: string }> {
  const { publicKey, privateKey } = await generateP256('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { spki: publicKey, privatePem: privateKey };
}

function signingKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', pkcs8, SIGNING, false, ['sign']);
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

/** RFC 5280 §4.2.1.2 (1): SHA-1 of the public key's bits, which are the last 65 bytes of a P-256 SPKI. */
function keyId(spki: Buffer): string {
  return createHash('sha1').update(spki.subarray(-65)).digest('hex');
}

/** 16 bytes, hex. It begins with the bits 01: positive, and no leading zeros (RFC 5280 §4.1.2.2). */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** X.509 times have no fractions; what is reported must be what is written. */
function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
