import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { unwatchFile, watchFile } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { readConfined } from '../lib/confined.js';
import { cannotRead, PortalError, unreadableHint } from '../lib/errors.js';
import { fingerprintOf, type ServingCertificate } from './source.js';

/** Source `files`: the user's own certificate and key. Portal reads the files again when they change. */

export interface CertificateFiles {
  /** PEM: the leaf certificate first, then its chain. Absolute path. */
  readonly certFile: string;
  /** PEM, not encrypted. Absolute path. */
  readonly keyFile: string;
}

/** Interval of polling. Polling also notices when a symbolic link in the path changes. */
const CHECK_MS = 2_000;

/**
 * Reads and checks a certificate for `hostname`. Throws `certificate_unavailable` with the reason if it does not fit.
 */
export async function readCertificateFiles(
  { certFile, keyFile }: CertificateFiles,
  hostname: string,
): Promise<ServingCertificate> {
  // One after the other, so that the error always names the same one of two missing files.
  const cert = await readPem(certFile);
  const key = await readPem(keyFile);
  const leaf = leafOf(cert, certFile);
  const notAfter = new Date(leaf.validTo);
  if (leaf.checkHost(hostname) === undefined) {
    throw unusable(
      `${certFile} is for ${leaf.subjectAltName ?? leaf.subject}, not for ${hostname}`,
      `Use a certificate for ${hostname}, or for a wildcard that includes it.`,
    );
  }
  if (notAfter.getTime() <= Date.now()) {
    throw unusable(
      `${certFile} expired on ${notAfter.toISOString()}`,
      'Renew the certificate. Portal loads the new file automatically.',
    );
  }
  if (!leaf.checkPrivateKey(privateKeyOf(key, keyFile)))
    throw unusable(
      `${keyFile} is not the key of ${certFile}`,
      'Use the key for which the certificate was issued.',
    );
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw unusable(
      `${certFile} is incomplete or damaged`,
      'It must contain the certificate, and then those of its chain, in PEM format.',
      error,
    );
  }
  return { cert, key, notAfter, fingerprint: fingerprintOf(leaf.raw) };
}

/** Calls `onChange` when one of the files changes, until the returned function is called. */
export function watchCertificateFiles(
  { certFile, keyFile }: CertificateFiles,
  onChange: () => void,
): () => void {
  const check = (now: { mtimeMs: number; ino: number }, before: { mtimeMs: number; ino: number }): void => {
    if (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino) onChange();
  };
  for (const file of [certFile, keyFile]) watchFile(file, { interval: CHECK_MS, persistent: false }, check);
  return () => {
    for (const file of [certFile, keyFile]) unwatchFile(file, check);
  };
}

async function readPem(file: string): Promise<string> {
  try {
    return await readConfined(file);
  } catch (error) {
    throw unusable(cannotRead(file, error), unreadableHint(error) ?? 'Check the path.', error);
  }
}

function leafOf(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw unusable(
      `${file} contains no PEM certificate`,
      'Write the certificate into it, and then those of its chain, in PEM format.',
      error,
    );
  }
}

/** A file that another program is writing is empty for a moment. */
function privateKeyOf(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw unusable(
      `${file} contains no complete private key`,
      'Write the key into it in PEM format, without a passphrase.',
      error,
    );
  }
}

function unusable(message: string, hint: string, cause?: unknown): PortalError {
  return new PortalError('certificate_unavailable', message, { cause, hint });
}
