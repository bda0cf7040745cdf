import { createHash, type X509Certificate } from 'node:crypto';
import { PortalError } from '../lib/errors.js';
import type { LocalCa } from './local-ca.js';

/** A certificate ready to serve, with the fingerprint by which the pass-through probe recognises it. */
export interface ServingCertificate {
  /** PEM. */
  readonly cert: string;
  /** PEM. Never leaves this process. */
  readonly key: string;
  /** SHA-256 of the leaf's DER, hex. */
  readonly fingerprint: string;
  readonly notAfter: Date;
}

/** What `status` shows about a certificate that changes while it is served. */
export interface RenewalStatus {
  /** When the current certificate expires. Undefined without one. */
  readonly notAfter: string | undefined;
  /** Time of the next renewal or attempt. Undefined if Portal does not renew the certificate itself. */
  readonly nextAt: string | undefined;
  /** Why the latest new certificate is not used. */
  readonly error: PortalError | undefined;
  /** Whether it should have been renewed by now. */
  readonly expiresSoon: boolean;
}

/** What users must know about the certificate that is served. `notAfter` is its end. */
export type CertificateNews =
  /** A new one replaced another. */
  | { readonly kind: 'renewed'; readonly notAfter: Date }
  /** A new one is invalid, or the CA did not issue one. */
  | { readonly kind: 'failed'; readonly error: PortalError; readonly notAfter: Date }
  /** The files that failed contain the current one again. */
  | { readonly kind: 'restored'; readonly notAfter: Date }
  /** It was not renewed, and expires soon or has expired. `file`: the user's file. */
  | { readonly kind: 'expires'; readonly file?: string; readonly notAfter: Date };

/** Portal warns two weeks before a certificate expires that was not renewed. Some live only for days: then in their last quarter. */
const SOON_MS = 14 * 24 * 3_600_000;
const SOON_PART = 1 / 4;

export function expiresSoon({ validFrom, validTo }: Pick<X509Certificate, 'validFrom' | 'validTo'>): boolean {
  const end = Date.parse(validTo);
  const life = end - Date.parse(validFrom);
  return end - Date.now() < Math.min(SOON_MS, life * SOON_PART);
}

/** Source `local`: certificates of the local CA, created on first use and stored in memory only. */
export class LocalCertificates {
  readonly #openCa: () => Promise<LocalCa>;
  readonly #namesFor: (hostname: string) => readonly string[];
  #ca: Promise<LocalCa> | undefined;
  #caFile: string | undefined;
  readonly #leaves = new Map<string, Promise<ServingCertificate>>();

  /** `namesFor` returns all names of a hostname's certificate, if there are several. */
  constructor(
    openCa: () => Promise<LocalCa>,
    namesFor = (hostname: string): readonly string[] => [hostname],
  ) {
    this.#openCa = openCa;
    this.#namesFor = namesFor;
  }

  /** Path of the CA certificate that visitors must trust. Undefined until the CA is in use. */
  get caFile(): string | undefined {
    return this.#caFile;
  }

  async forHostname(hostname: string): Promise<ServingCertificate> {
    const known = this.#leaves.get(hostname);
    if (known && !renewalDue(await known)) return known;
    const leaf = this.#issue(hostname);
    this.#leaves.set(hostname, leaf);
    // Do not cache a failure: the next lease may succeed.
    leaf.catch(() => this.#leaves.delete(hostname));
    return leaf;
  }

  async #issue(hostname: string): Promise<ServingCertificate> {
    this.#ca ??= this.#openCa();
    this.#ca.catch(() => (this.#ca = undefined));
    const ca = await this.#ca;
    this.#caFile = ca.certificateFile;
    if (!ca.covers(hostname)) {
      throw new PortalError(
        'certificate_unavailable',
        `the local CA does not issue certificates for ${hostname}`,
        {
          hint: 'It covers names under localhost, test, internal, local and home.arpa. For other names, use a relay on port 443 without `tls: local`, or your own certificate: `tls: { cert, key }`.',
        },
      );
    }
    const { cert, key, notAfter } = await ca.issue(this.#namesFor(hostname));
    return { cert, key, notAfter, fingerprint: fingerprintOf(derOf(cert)) };
  }
}

const RENEW_BEFORE_MS = 30 * 24 * 3_600_000;

function renewalDue(certificate: ServingCertificate): boolean {
  return certificate.notAfter.getTime() - Date.now() < RENEW_BEFORE_MS;
}

/** The first certificate of a PEM text. Decodes it without parsing, because there may be hundreds at start. */
function derOf(pem: string): Buffer {
  const [, base64 = ''] = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(pem) ?? [];
  return Buffer.from(base64, 'base64');
}

/** SHA-256 of a certificate's DER, hex. */
export function fingerprintOf(der: Buffer): string {
  return createHash('sha256').update(der).digest('hex');
}
