/** Creates the certificates of the local CA. local-names.ts decides which names they may contain. */
import {
  createHash,
  createPublicKey,
  generateKeyPair,
  randomBytes,
  sign,
  type KeyObject,
  type X509Certificate,
} from 'node:crypto';
import { isIP, isIPv4 } from 'node:net';
import { promisify } from 'node:util';
import { PortalError } from '../lib/errors.js';
import { bits, context, der, oid, sequence, TAG, time, valuesIn } from './der.js';
import { covers, LOCAL_DOMAINS, nameConstraints } from './local-names.js';

export interface LocalLeaf {
  /** PEM of the leaf only. Programs that trust the CA already have the CA's certificate. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
  readonly notAfter: Date;
}

/** Issues one leaf with a new key. Throws `certificate_unavailable` unless the CA covers every name. */
export type Issuer = (hostnames: readonly string[], now: Date) => Promise<LocalLeaf>;

const DAY_MS = 24 * 3_600_000;
const CA_LIFETIME_MS = 3652 * DAY_MS;
/** Browsers reject longer lifetimes (CA/B baseline requirements 6.3.2: 398 days). */
const LEAF_LIFETIME_MS = 397 * DAY_MS;
/** For visitors whose clocks are slow. */
const BACKDATE_MS = 3_600_000;

const OID_SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const OID_NAME_CONSTRAINTS = '2.5.29.30';
const OID_ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const OID_COMMON_NAME = '2.5.4.3';
const OID_ORGANIZATION = '2.5.4.10';
const OID_SUBJECT_KEY = '2.5.29.14';
const OID_KEY_USAGE = '2.5.29.15';
const OID_ALTERNATIVE_NAMES = '2.5.29.17';
const OID_BASIC_CONSTRAINTS = '2.5.29.19';
const OID_AUTHORITY_KEY = '2.5.29.35';
const OID_EXTENDED_KEY_USAGE = '2.5.29.37';
/** Version 3, as the version field encodes it. */
const X509_V3 = 2;

const generateP256 = promisify(generateKeyPair);

/**
 * A self-signed certificate for the CA's key, PEM, valid for 10 years. It and the leaves have a fixed structure, so the
 * code writes their DER directly. A library for it took a large part of the time of `portal up`.
 */
export function makeCaCertificate(key: KeyObject, now: Date): string {
  const id = keyId(spkiOf(key));
  // The name distinguishes the CAs of several machines, and stays the same for every certificate of one key.
  const name = sequence(
    attribute(OID_ORGANIZATION, 'Portal'),
    attribute(OID_COMMON_NAME, `Portal local CA ${id.slice(0, 8)}`),
  );
  return selfSigned(key, name, now, [
    // A CA that issues leaves only: a path of no other CA follows it.
    extension(
      OID_BASIC_CONSTRAINTS,
      true,
      sequence(der(TAG.boolean, Buffer.from([0xff])), der(TAG.integer, Buffer.from([0]))),
    ),
    // Two bits, keyCertSign and cRLSign; one is unused.
    extension(OID_KEY_USAGE, true, der(TAG.bitString, Buffer.from([1, 0x06]))),
    extension(OID_EXTENDED_KEY_USAGE, false, sequence(oid(OID_SERVER_AUTH))),
    extension(OID_NAME_CONSTRAINTS, true, nameConstraints()),
    subjectKey(id),
  ]);
}

/** Prepares what every leaf of a CA shares. */
export function createIssuer(key: KeyObject, ca: X509Certificate): Issuer {
  const issuer = subjectOf(ca);
  const subject = sequence(attribute(OID_ORGANIZATION, 'Portal local certificate'));
  const authority = der(context(0, false), Buffer.from(keyId(spkiOf(key)), 'hex'));
  const shared = [
    extension(OID_BASIC_CONSTRAINTS, true, sequence()),
    // One bit, digitalSignature; seven are unused.
    extension(OID_KEY_USAGE, true, der(TAG.bitString, Buffer.from([7, 0x80]))),
    extension(OID_EXTENDED_KEY_USAGE, false, sequence(oid(OID_SERVER_AUTH))),
    extension(OID_AUTHORITY_KEY, false, sequence(authority)),
  ];
  const caEnd = Date.parse(ca.validTo);

  return async (hostnames, now) => {
    const foreign = hostnames.find((hostname) => !covers(hostname));
    if (foreign !== undefined || hostnames.length === 0) {
      throw new PortalError(
        'certificate_unavailable',
        `the local CA does not issue certificates for ${foreign ?? 'no hostname'}`,
        { hint: `It covers names under ${LOCAL_DOMAINS.join(', ')}, and loopback addresses.` },
      );
    }
    const leaf = await newKey();
    const notBefore = wholeSeconds(now.getTime() - BACKDATE_MS);
    const notAfter = wholeSeconds(Math.min(notBefore.getTime() + LEAF_LIFETIME_MS, caEnd));
    const names = extension(OID_ALTERNATIVE_NAMES, false, sequence(...hostnames.map(alternativeName)));
    const cert = signed(key, {
      issuer,
      validity: [notBefore, notAfter],
      subject,
      spki: leaf.spki,
      extensions: [...shared, names, subjectKey(keyId(leaf.spki))],
    });
    return { cert, key: leaf.privatePem, notAfter };
  };
}

interface Contents {
  readonly issuer: Buffer;
  readonly validity: readonly [Date, Date];
  readonly subject: Buffer;
  readonly spki: Buffer;
  readonly extensions: readonly Buffer[];
}

/** A certificate (RFC 5280 §4.1) with a new serial number, PEM. */
function signed(key: KeyObject, { issuer, validity, subject, spki, extensions }: Contents): string {
  const algorithm = sequence(oid(OID_ECDSA_SHA256));
  const unsigned = sequence(
    der(context(0, true), der(TAG.integer, Buffer.from([X509_V3]))),
    der(TAG.integer, Buffer.from(newSerial(), 'hex')),
    algorithm,
    issuer,
    sequence(...validity.map(time)),
    subject,
    spki,
    der(context(3, true), sequence(...extensions)),
  );
  return pemOf(sequence(unsigned, algorithm, bits(sign('sha256', unsigned, key))));
}

/** The subject of a certificate, byte for byte: verifiers compare it with the issuer of a leaf in that form. */
function subjectOf(certificate: X509Certificate): Buffer {
  const [unsigned] = valuesIn(certificate.raw);
  // After the version, serial number, algorithm, issuer and validity (RFC 5280 §4.1).
  return valuesIn(unsigned!)[5]!;
}

/** One part of a name. */
const attribute = (type: string, text: string): Buffer =>
  der(TAG.set, sequence(oid(type), der(TAG.printableString, Buffer.from(text))));

const subjectKey = (id: string): Buffer =>
  extension(OID_SUBJECT_KEY, false, der(TAG.octetString, Buffer.from(id, 'hex')));

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(TAG.boolean, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...flag, der(TAG.octetString, value));
}

/** GeneralName: dNSName [2] or iPAddress [7]. Of IPv6 addresses, the CA covers only ::1. */
function alternativeName(hostname: string): Buffer {
  if (!isIP(hostname)) return der(context(2, false), Buffer.from(hostname.toLowerCase(), 'ascii'));
  const bytes = isIPv4(hostname)
    ? Buffer.from(hostname.split('.').map(Number))
    : Buffer.concat([Buffer.alloc(15), Buffer.from([1])]);
  return der(context(7, false), bytes);
}

function pemOf(certificate: Buffer): string {
  const lines = certificate.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/** A self-signed certificate that only carries the public key, PEM: its reader pins the key. */
export function makeKeyCertificate(key: KeyObject, commonName: string, now: Date): string {
  const name = sequence(attribute(OID_COMMON_NAME, commonName));
  return selfSigned(key, name, now, []);
}

/** A certificate that its own key signs, PEM, valid for 10 years. */
function selfSigned(key: KeyObject, name: Buffer, now: Date, extensions: readonly Buffer[]): string {
  const notBefore = wholeSeconds(now.getTime() - BACKDATE_MS);
  const notAfter = wholeSeconds(notBefore.getTime() + CA_LIFETIME_MS);
  const validity = [notBefore, notAfter] as const;
  return signed(key, { issuer: name, validity, subject: name, spki: spkiOf(key), extensions });
}

/** A new P-256 key: the public key as DER, the private key as PKCS #8 PEM. */
export async function newKey(): Promise<{ spki: Buffer; privatePem: string }> {
  const { publicKey, privateKey } = await generateP256('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { spki: publicKey, privatePem: privateKey };
}

function spkiOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

/** RFC 5280 §4.2.1.2 (1): SHA-1 of the public key's bits, which are the last 65 bytes of a P-256 SPKI. */
function keyId(spki: Buffer): string {
  return createHash('sha1').update(spki.subarray(-65)).digest('hex');
}

/** 16 bytes, hex. Begins with the bits 01, so it is positive without leading zeros (RFC 5280 §4.1.2.2). */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** X.509 times have no fractions. The reported time must match the one in the certificate. */
function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}
