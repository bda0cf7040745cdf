import { createHash, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { fingerprintOf, type ServingCertificate } from '../source.js';
import { filesIn, type CertificateFiles } from './files.js';

/** A certificate with its validity period. */
export interface DatedCertificate extends ServingCertificate {
  readonly notBefore: Date;
}

/** An order that the CA rejected. */
export interface RejectedOrder {
  readonly error: PortalError;
  /** Consecutive rejections. */
  readonly count: number;
  /** When the next order may be sent, in milliseconds since 1970. */
  readonly nextAt: number;
}

/** CAs count these orders. */
const COUNTED = ['acme_rejected', 'acme_rate_limited'] as const;
/** The longest wait that a CA may request. A later time comes from a wrong clock. */
const MAX_WAIT_MS = 7 * 24 * 3_600_000;

/**
 * Stores one CA's data in a folder of its own: the account key, and one file per hostname with the private key and
 * the chain, so that they always match. After a rejected order, a third file keeps when the next one is due, so that a
 * restart does not send it sooner. Only the owner can read the files.
 */
export class AcmeStore {
  readonly #folder: string;
  readonly #files: CertificateFiles;
  /** The folder of this CA. */
  readonly #ca: string;

  constructor(folder: string, directory: string, files = filesIn(folder)) {
    const hash = createHash('sha256').update(directory).digest('hex').slice(0, 12);
    this.#folder = folder;
    this.#files = files;
    // People read the host. The hash separates several directories on one host.
    this.#ca = `${new URL(directory).host.replaceAll(/[^\w.-]/g, '_')}-${hash}`;
  }

  /** The account's private key, PEM. Calls `make` to create the first one. */
  async accountKey(make: () => Promise<string>): Promise<string> {
    const name = `${this.#ca}/account.key.pem`;
    const present = await this.#files.read(name);
    if (present !== undefined) return present;
    const fresh = await make();
    // Another process may have created the file first. Both then use the same account.
    if (await this.#files.create(name, fresh)) return fresh;
    return (await this.#files.read(name)) ?? fresh;
  }

  /** The stored certificate for `hostname`, even if expired. Undefined if none is stored or the file is unusable. */
  async read(hostname: string): Promise<DatedCertificate | undefined> {
    const text = await this.#files.read(this.#nameOf(hostname));
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
    await this.#files.replace(this.#nameOf(hostname), text);
    return certificate;
  }

  /** Executes `run` while no other process that shares the store orders a certificate for `hostname`. */
  exclusively<T>(hostname: string, run: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#files.exclusively(this.#nameOf(hostname), run, signal);
  }

  /** The last order for `hostname`, if the CA rejected it. */
  async rejection(hostname: string): Promise<RejectedOrder | undefined> {
    const text = await this.#files.read(this.#rejectionNameOf(hostname)).catch(() => undefined);
    return parseRejection(text ?? '');
  }

  /** Only rejections that CAs count are stored. */
  async writeRejection(hostname: string, { error, count, nextAt }: RejectedOrder): Promise<void> {
    if (!isCounted(error.code)) return;
    const { code, message, hint } = error;
    const text = JSON.stringify({ code, message, hint, count, nextAt: new Date(nextAt).toISOString() });
    await this.#files.replace(this.#rejectionNameOf(hostname), `${text}\n`);
  }

  async removeRejection(hostname: string): Promise<void> {
    await this.#files.remove(this.#rejectionNameOf(hostname));
  }

  /** The path, for people. */
  rejectionFileOf(hostname: string): string {
    return join(this.#folder, this.#rejectionNameOf(hostname));
  }

  #rejectionNameOf(hostname: string): string {
    return this.#nameOf(hostname).replace(/\.pem$/, '.retry.json');
  }

  #nameOf(hostname: string): string {
    if (!/^[a-z0-9][a-z0-9._-]*$/i.test(hostname))
      throw new PortalError('certificate_unavailable', `${JSON.stringify(hostname)} is not a hostname`);
    return `${this.#ca}/${hostname.toLowerCase()}.pem`;
  }
}

const isCounted = (code: unknown): code is (typeof COUNTED)[number] =>
  COUNTED.some((counted) => counted === code);

function parseRejection(text: string): RejectedOrder | undefined {
  let stored: Record<string, unknown>;
  try {
    stored = { ...(JSON.parse(text) as object) };
  } catch {
    // The file is missing or damaged.
    return undefined;
  }
  const { code, message, hint, count } = stored;
  const nextAt = Date.parse(String(stored['nextAt']));
  if (!isCounted(code) || typeof message !== 'string' || !Number.isSafeInteger(count)) return undefined;
  if (!(nextAt <= Date.now() + MAX_WAIT_MS)) return undefined;
  const error = new PortalError(code, message, typeof hint === 'string' ? { hint } : {});
  return { error, count: Number(count), nextAt };
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
