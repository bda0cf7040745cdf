/**
 * A certificate authority of this user alone, for hostnames that never leave the machine or its network.
 * Trusting it must not mean trusting its key with the whole web, so the CA certificate itself limits, by
 * critical name constraints (RFC 5280 §4.2.1.10), what any certificate under it can be good for.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  randomBytes,
  webcrypto,
  X509Certificate,
  type KeyObject,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP, isIPv4 } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Name } from '@peculiar/x509';
import { createFile, PRIVATE_MODE, readPrivateFile, replaceFile } from '../../identity/private-file.js';
import { PortalError, systemCode } from '../../lib/errors.js';
import { silent, type Logger } from '../../lib/logger.js';

export interface LocalCa {
  /** Path of `ca.pem`: what a visitor has to trust. */
  readonly certificateFile: string;
  readonly certificatePem: string;
  /** SHA-256 of the CA certificate's DER, lower-case hex. */
  readonly fingerprint: string;
  /** True for names this CA may certify: DNS names under `LOCAL_DOMAINS`, 127.0.0.0/8 and ::1. */
  covers(hostname: string): boolean;
  /** A certificate with a key of its own for these names. Throws `certificate_unavailable` unless all are covered. */
  issue(hostnames: readonly string[]): Promise<LocalLeaf>;
}

export interface LocalLeaf {
  /** PEM of the leaf alone: whoever trusts the CA has its certificate already. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
  readonly notAfter: Date;
}

export interface LocalCaOptions {
  readonly log?: Logger;
  readonly now?: () => Date;
}

/**
 * Names that no public registry hands out: RFC 6761 (localhost, test), RFC 6762 (local), RFC 8375 (home.arpa),
 * and the `internal` that ICANN set aside in 2024.
 */
export const LOCAL_DOMAINS = ['localhost', 'test', 'internal', 'local', 'home.arpa'] as const;

const DAY_MS = 24 * 3_600_000;
const CA_LIFETIME_MS = 3652 * DAY_MS;
/** Browsers take no longer ones (CA/B baseline requirements 6.3.2: 398 days). */
const LEAF_LIFETIME_MS = 397 * DAY_MS;
/** For the clocks of visitors that are behind. */
const BACKDATE_MS = 3_600_000;
/** A CA this close to its end is replaced while its leaves are still good. */
const CA_RENEWAL_MS = 30 * DAY_MS;

const CA_CERTIFICATE_MODE = 0o644;
const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const OID_SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const OID_NAME_CONSTRAINTS = '2.5.29.30';

/** Takes 150 ms to load, so only on first use. */
const x509 = () => import('@peculiar/x509');
type X509 = Awaited<ReturnType<typeof x509>>;

/**
 * The local CA kept in `caDir` as `ca.pem` (0644) and `ca.key.pem` (0600), made on first use; processes that
 * start at once end up with the same one. A certificate that expires within 30 days, or does not belong to
 * the key, is replaced, with a warning: whoever trusted it has to trust the new one.
 *
 * Throws `certificate_unavailable` when other users can read the key (the message holds the command that
 * mends it) or when it is no P-256 key, `state_unwritable` when a file cannot be made.
 */
export async function openLocalCa(caDir: string, options: LocalCaOptions = {}): Promise<LocalCa> {
  const { log = silent, now = () => new Date() } = options;
  const certificateFile = join(caDir, 'ca.pem');
  // The key comes first and decides who the CA is: any certificate made for it fits any leaf made with it.
  const key = await openKey(join(caDir, 'ca.key.pem'));
  const certificate = await openCertificate(certificateFile, key, now(), log);
  const issuer = await createIssuer(key, certificate);
  return {
    certificateFile,
    certificatePem: certificate.toString(),
    fingerprint: createHash('sha256').update(certificate.raw).digest('hex'),
    covers,
    issue: async (hostnames) => issuer(hostnames, now()),
  };
}

function covers(hostname: string): boolean {
  if (isIP(hostname)) return hostname === '::1' || (isIPv4(hostname) && hostname.startsWith('127.'));
  const name = hostname.toLowerCase();
  return LOCAL_DOMAINS.some((domain) => name === domain || name.endsWith(`.${domain}`));
}

const generateP256 = promisify(generateKeyPair);

async function openKey(file: string): Promise<KeyObject> {
  let pem = await readOrExplain(file, () => readPrivateFile(file, 'certificate_unavailable'));
  if (pem === undefined) {
    const fresh = await newKey();
    if (await createFile(file, fresh.privatePem, PRIVATE_MODE)) return createPrivateKey(fresh.privatePem);
    pem = await readPrivateFile(file, 'certificate_unavailable');
  }
  const key = pem === undefined ? undefined : tryPrivateKey(pem);
  if (key?.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new PortalError('certificate_unavailable', `${file} is not the key of a local CA`, {
      hint: 'Move it away; a new local CA is made in its place.',
    });
  }
  return key;
}

/** The errors of OpenSSL name no more than "unsupported", and the text is a secret: neither is passed on. */
function tryPrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

async function openCertificate(
  file: string,
  key: KeyObject,
  now: Date,
  log: Logger,
): Promise<X509Certificate> {
  const existing = await readCertificate(file);
  if (existing === undefined) {
    const fresh = await makeCaCertificate(key, now);
    if (await createFile(file, fresh, CA_CERTIFICATE_MODE)) return new X509Certificate(fresh);
  }
  const found = existing ?? (await readCertificate(file));
  const reason = whyUnfit(found, key, now);
  if (found instanceof X509Certificate && reason === undefined) return found;
  const fresh = await makeCaCertificate(key, now);
  await replaceFile(file, fresh, CA_CERTIFICATE_MODE);
  log.warn(
    { file, reason },
    `the local CA was replaced because it ${reason}; trust the new one with \`portal trust\``,
  );
  return new X509Certificate(fresh);
}

/** Undefined when there is none, null when the file holds something else. */
async function readCertificate(file: string): Promise<X509Certificate | null | undefined> {
  const pem = await readOrExplain(file, () =>
    readFile(file, 'utf8').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }),
  );
  if (pem === undefined) return undefined;
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

/** What is wrong with a CA certificate, completing "it …". */
function whyUnfit(
  certificate: X509Certificate | null | undefined,
  key: KeyObject,
  now: Date,
): string | undefined {
  if (!certificate) return 'was not a certificate';
  if (!certificate.ca || !certificate.checkPrivateKey(key)) return 'did not belong to its key';
  const leftMs = Date.parse(certificate.validTo) - now.getTime();
  if (leftMs < CA_RENEWAL_MS)
    return `${leftMs > 0 ? 'is about to expire' : 'expired'} on ${certificate.validTo}`;
  return undefined;
}

async function readOrExplain<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const why = systemCode(error) ?? String(error);
    throw new PortalError('certificate_unavailable', `${file} cannot be read (${why})`, { cause: error });
  }
}

async function makeCaCertificate(key: KeyObject, now: Date): Promise<string> {
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

/** What makes leaves: everything that is the same for all of them is prepared once. */
async function createIssuer(
  key: KeyObject,
  ca: X509Certificate,
): Promise<(hostnames: readonly string[], now: Date) => Promise<LocalLeaf>> {
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

async function newKey(): Promise<{ spki: Buffer; privatePem: string }> {
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

/** 16 bytes, hex. The first begins with 01: positive and without leading zeros (RFC 5280 §4.1.2.2). */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

/** X.509 times have no fractions; what is reported must be what is written. */
function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}

/**
 * NameConstraints ::= SEQUENCE { permittedSubtrees [0] SEQUENCE OF GeneralSubtree }, GeneralSubtree ::=
 * SEQUENCE { base GeneralName }. DNS names are [2] IA5String; addresses are [7] OCTET STRING, address and mask.
 */
function nameConstraints(): Buffer {
  const loopback4 = Buffer.from([127, 0, 0, 0, 255, 0, 0, 0]);
  const loopback6 = Buffer.concat([Buffer.alloc(15), Buffer.from([1]), Buffer.alloc(16, 0xff)]);
  const permitted = [
    ...LOCAL_DOMAINS.map((domain) => der(0x82, Buffer.from(domain, 'ascii'))),
    der(0x87, loopback4),
    der(0x87, loopback6),
  ];
  return der(0x30, der(0xa0, ...permitted.map((base) => der(0x30, base))));
}

/** One DER value. Short lengths only: all of the above stays below 128 bytes. */
function der(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag, content.length]), content]);
}
