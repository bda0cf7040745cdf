/**
 * A certificate authority of one user, for hostnames that never leave the machine or its network. A user who trusts
 * it should not have to trust its key with the whole web. Critical name constraints (RFC 5280 §4.2.1.10) in the CA
 * certificate therefore limit what it can certify.
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
  /** Path of `ca.pem`, the certificate that visitors must trust. */
  readonly certificateFile: string;
  readonly certificatePem: string;
  /** SHA-256 of the CA certificate's DER, lower-case hex. */
  readonly fingerprint: string;
  /** Whether this CA may certify the name: DNS names under `LOCAL_DOMAINS`, 127.0.0.0/8 and ::1. */
  covers(hostname: string): boolean;
  /** A certificate for these names, with a new key. Throws `certificate_unavailable` unless all are covered. */
  issue(hostnames: readonly string[]): Promise<LocalLeaf>;
}

export interface LocalCaOptions {
  readonly log?: Logger;
  readonly now?: () => Date;
  /**
   * Called when Portal created the CA. `replaces`: why it replaces the certificate that programs may trust; completes "its
   * certificate …".
   */
  readonly onCreated?: (certificateFile: string, replaces?: string) => void;
}

/**
 * A CA that expires within this time is replaced. Leaves are renewed later than this before their end, so the CA
 * always outlives them.
 */
const CA_RENEWAL_MS = 90 * 24 * 3_600_000;
const CA_CERTIFICATE_MODE = 0o644;

/**
 * The local CA in `caDir`: `ca.pem` (0644) and `ca.key.pem` (0600), created on first use. Processes that start together
 * get the same CA. Replaces a certificate that expires within 90 days or does not match the key, and reports that:
 * programs that trusted it must trust the new one.
 *
 * Throws `certificate_unavailable` if other users can read the key, or if it is not a P-256 key. The hint has the command
 * that fixes it. Throws `state_unwritable` if a file cannot be created.
 */
export async function openLocalCa(caDir: string, options: LocalCaOptions = {}): Promise<LocalCa> {
  const { log = silent, now = () => new Date(), onCreated } = options;
  const certificateFile = join(caDir, 'ca.pem');
  // The key identifies the CA: any CA certificate for this key matches any leaf that the key signed.
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
      hint: 'Move the file to another folder. Portal then creates a new local CA.',
    });
  }
  return key;
}

/** OpenSSL's errors say only "unsupported", and the text is secret, so the message contains neither. */
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
    const fresh = makeCaCertificate(key, now);
    if (await createFile(file, fresh, CA_CERTIFICATE_MODE)) {
      log.info({ file }, 'created a local CA');
      onCreated?.(file);
      return new X509Certificate(fresh);
    }
    found = await readCertificate(file); // another process created it first
  }
  const reason = whyUnusable(found, key, now);
  if (found instanceof X509Certificate && reason === undefined) return found;
  const fresh = makeCaCertificate(key, now);
  await replaceFile(file, fresh, CA_CERTIFICATE_MODE);
  log.warn(
    { file, reason },
    `the local CA was replaced because its certificate ${reason}; run \`portal trust\` to trust the new one`,
  );
  onCreated?.(file, reason ?? 'was invalid');
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

/** Why a CA certificate cannot be used; completes "its certificate …". */
function whyUnusable(found: Found, key: KeyObject, now: Date): string | undefined {
  if (!(found instanceof X509Certificate)) return 'was invalid';
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
