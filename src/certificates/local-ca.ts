/**
 * A certificate authority of this user alone, for hostnames that never leave the machine or its network.
 * Trusting it must not mean trusting its key with the whole web, so the CA certificate itself limits, by
 * critical name constraints (RFC 5280 §4.2.1.10), what any certificate under it can be good for.
 */
import { createHash, createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createFile,
  explainUnreadable,
  PRIVATE_MODE,
  readPrivateFile,
  replaceFile,
} from '../lib/private-file.js';
import { isMissing, PortalError, systemCode } from '../lib/errors.js';
import { silent, type Logger } from '../lib/logger.js';
import { covers } from './local-names.js';
import { createIssuer, makeCaCertificate, newKey, type Issuer, type LocalLeaf } from './local-x509.js';

export type { LocalLeaf } from './local-x509.js';

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

export interface LocalCaOptions {
  readonly log?: Logger;
  readonly now?: () => Date;
  /** Called when Portal created the CA. */
  readonly onCreated?: (certificateFile: string) => void;
}

/** A CA this close to its end is replaced. Longer than leaves are renewed ahead, so those never come short. */
const CA_RENEWAL_MS = 90 * 24 * 3_600_000;
const CA_CERTIFICATE_MODE = 0o644;

/**
 * The local CA kept in `caDir` as `ca.pem` (0644) and `ca.key.pem` (0600), made on first use; processes that
 * start at once end up with the same one. A certificate that expires within 90 days, or does not belong to
 * the key, is replaced, with a warning: programs that trusted it must trust the new one.
 *
 * Throws `certificate_unavailable` when other users can read the key (the hint holds the command that
 * mends it) or when it is no P-256 key, `state_unwritable` when a file cannot be made.
 */
export async function openLocalCa(caDir: string, options: LocalCaOptions = {}): Promise<LocalCa> {
  const { log = silent, now = () => new Date(), onCreated } = options;
  const certificateFile = join(caDir, 'ca.pem');
  // The key comes first and decides who the CA is: any certificate made for it fits any leaf made with it.
  const key = await openKey(join(caDir, 'ca.key.pem'));
  const certificate = await openCertificate(certificateFile, key, { now: now(), log, onCreated });
  let issuer: Issuer | undefined;
  return {
    certificateFile,
    certificatePem: certificate.toString(),
    fingerprint: createHash('sha256').update(certificate.raw).digest('hex'),
    covers,
    issue: async (hostnames) => {
      issuer ??= createIssuer(key, certificate);
      return issuer(hostnames, now());
    },
  };
}

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
      hint: 'Move it to another folder. Portal then creates a new local CA.',
    });
  }
  return key;
}

/** OpenSSL's errors say only "unsupported", and the text is a secret: neither is shown. */
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
  { now, log, onCreated }: { now: Date; log: Logger; onCreated: LocalCaOptions['onCreated'] },
): Promise<X509Certificate> {
  let found = await readCertificate(file);
  if (found === 'absent') {
    const fresh = await makeCaCertificate(key, now);
    if (await createFile(file, fresh, CA_CERTIFICATE_MODE)) {
      log.info({ file }, 'created a local CA');
      onCreated?.(file);
      return new X509Certificate(fresh);
    }
    found = await readCertificate(file); // another process was first
  }
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

type Found = X509Certificate | 'absent' | 'unreadable';

async function readCertificate(file: string): Promise<Found> {
  const pem = await readOrExplain(file, () =>
    readFile(file, 'utf8').catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    }),
  );
  if (pem === undefined) return 'absent';
  try {
    return new X509Certificate(pem);
  } catch {
    return 'unreadable';
  }
}

/** What is wrong with a CA certificate, completing "it …". */
function whyUnfit(found: Found, key: KeyObject, now: Date): string | undefined {
  if (!(found instanceof X509Certificate)) return 'was not a certificate';
  if (!found.ca || !found.checkPrivateKey(key)) return 'did not belong to its key';
  const leftMs = Date.parse(found.validTo) - now.getTime();
  if (leftMs <= 0) return `expired on ${found.validTo}`;
  return leftMs < CA_RENEWAL_MS ? `expires on ${found.validTo}` : undefined;
}

async function readOrExplain<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const why = systemCode(error) ?? String(error);
    const denied = explainUnreadable(file, error);
    throw new PortalError('certificate_unavailable', denied?.message ?? `${file} cannot be read (${why})`, {
      cause: error,
      ...(denied && { hint: denied.hint }),
    });
  }
}
