import { createHash, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { createFile, PRIVATE_MODE, readPrivateFile, replaceFile } from '../../lib/private-file.js';
import { fingerprintOf, type ServingCertificate } from '../source.js';

/** A certificate with its validity period. */
export interface DatedCertificate extends ServingCertificate {
  readonly notBefore: Date;
}

/**
 * Stores one CA's data in a folder of its own: the account key, and one file per hostname with the private key and
 * the chain, so that they always match. Only the owner can read the files.
 */
export class AcmeStore {
  readonly folder: string;

  constructor(folder: string, directory: string) {
    const hash = createHash('sha256').update(directory).digest('hex').slice(0, 12);
    // People read the host. The hash separates several directories on one host.
    this.folder = join(folder, `${new URL(directory).host.replaceAll(/[^\w.-]/g, '_')}-${hash}`);
  }

  /** The account's private key, PEM. Calls `make` to create the first one. */
  async accountKey(make: () => Promise<string>): Promise<string> {
    const file = join(this.folder, 'account.key.pem');
    const present = await readPrivateFile(file, 'certificate_unavailable');
    if (present !== undefined) return present;
    const fresh = await make();
    // Another process may have created the file first. Both then use the same account.
    if (await createFile(file, fresh, PRIVATE_MODE)) return fresh;
    return (await readPrivateFile(file, 'certificate_unavailable')) ?? fresh;
  }

  /** The stored certificate for `hostname`, even if expired. Undefined if none is stored or the file is unusable. */
  async read(hostname: string): Promise<DatedCertificate | undefined> {
    const text = await readPrivateFile(this.fileOf(hostname), 'certificate_unavailable');
    if (text === undefined) return undefined;
    try {
      return parse(text, hostname);
    } catch {
      // The file is truncated or changed: Portal orders a new certificate.
      return undefined;
    }
  }

  async write(hostname: string, key: string, chain: string): Promise<DatedCertificate> {
    const text = `${key.trimEnd()}\n${chain.trimStart()}`;
    const certificate = issued(text, hostname);
    await replaceFile(this.fileOf(hostname), text, PRIVATE_MODE);
    return certificate;
  }

  fileOf(hostname: string): string {
    if (!/^[a-z0-9][a-z0-9._-]*$/i.test(hostname))
      throw new PortalError('certificate_unavailable', `${JSON.stringify(hostname)} is not a hostname`);
    return join(this.folder, `${hostname.toLowerCase()}.pem`);
  }
}

const PEM = /-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----\r?\n?/g;

function issued(text: string, hostname: string): DatedCertificate {
  try {
    return parse(text, hostname);
  } catch (error) {
    const reason = asPortalError(error).message;
    throw new PortalError('acme_rejected', `the CA issued an unusable certificate: ${reason}`, {
      cause: error,
    });
  }
}

function parse(text: string, hostname: string): DatedCertificate {
  const blocks = [...text.matchAll(PEM)].map(([block, label]) => ({ block, label: label! }));
  const key = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'))?.block;
  const cert = blocks.flatMap(({ block, label }) => (label === 'CERTIFICATE' ? [block] : [])).join('');
  const leaf = new X509Certificate(cert);
  if (key === undefined || leaf.checkHost(hostname) === undefined)
    throw new PortalError(
      'certificate_unavailable',
      `the file does not contain a certificate and key for ${hostname}`,
    );
  createSecureContext({ cert, key });
  return {
    cert,
    key,
    fingerprint: fingerprintOf(leaf.raw),
    notBefore: new Date(leaf.validFrom),
    notAfter: new Date(leaf.validTo),
  };
}
