import { isDeepStrictEqual } from 'node:util';
import { asPortalError, type PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { AcmeCertificates, Hold } from './acme/certificates.js';
import { readCertificateFiles, watchCertificateFiles } from './files.js';
import {
  expiresSoon,
  type CertificateTrouble,
  type LocalCertificates,
  type RenewalStatus,
  type ServingCertificate,
} from './source.js';
import { sourceFor, type TlsSpec } from './spec.js';

/** Sources of certificates other than files. */
export interface CertificateSources {
  readonly local: LocalCertificates;
  readonly acme: AcmeCertificates;
}

export interface LiveCertificateOptions {
  readonly hostname: string;
  readonly tls: TlsSpec;
  readonly sources: CertificateSources;
  /** Called with each new certificate to serve. */
  readonly onNew: (certificate: ServingCertificate) => void;
  /** Called when the certificate is not renewed. The same trouble may be reported several times. */
  readonly onTrouble?: ((trouble: CertificateTrouble) => void) | undefined;
  readonly log: Logger;
}

/** How often to check whether a certificate expires soon. Short, because timers stop while a machine sleeps. */
const CHECK_MS = 3_600_000;
/** Pause before new files that are invalid are read again and reported. A program may still be writing them. */
const AGAIN_MS = 3_000;

/** The current certificate of one hostname. Follows its source and changes of the source. */
export class LiveCertificate {
  readonly hostname: string;
  readonly #options: LiveCertificateOptions;
  readonly #stop = new AbortController();
  #tls: ReturnType<typeof sourceFor>;
  #serving: ServingCertificate | undefined;
  #unwatch: (() => void) | undefined;
  #hold: Hold | undefined;
  /** Why the source has no new certificate. Only of files. */
  #failure: PortalError | undefined;
  #again: NodeJS.Timeout | undefined;
  readonly #checking: NodeJS.Timeout;

  constructor(options: LiveCertificateOptions) {
    this.hostname = options.hostname;
    this.#options = options;
    this.#tls = sourceFor(options.tls, options.hostname);
    this.#watch();
    this.#checking = setInterval(() => this.#check(), CHECK_MS).unref();
  }

  /**
   * The first certificate; `onNew` receives later ones. Throws `certificate_unavailable` or the CA's error. If the
   * error has `retryAfterMs`, call it again after that time.
   */
  async open(signal: AbortSignal): Promise<ServingCertificate> {
    const certificate = await this.#read(signal);
    this.#serving = certificate;
    this.#checkExpiry();
    return certificate;
  }

  /**
   * The certificate of a public CA that an earlier process stored, without an order. Undefined without one, and for other
   * sources. Rejects if it cannot be read within `timeoutMs`.
   */
  async stored(signal: AbortSignal, timeoutMs: number): Promise<ServingCertificate | undefined> {
    const certificate = await this.#hold?.certificate.stored(signal, timeoutMs);
    this.#serving ??= certificate;
    return certificate;
  }

  /** Switches to another source. */
  update(tls: TlsSpec): void {
    const next = sourceFor(tls, this.hostname);
    if (isDeepStrictEqual(next, this.#tls)) return;
    this.#tls = next;
    this.#watch();
    void this.#renew();
  }

  /** Checks the source now, and serves a new certificate. */
  async reread(): Promise<void> {
    if (this.#serving) await this.#renew();
  }

  /** Undefined for certificates of the local CA. */
  renewal(): RenewalStatus | undefined {
    if (this.#tls.source === 'files')
      return { notAfter: this.#serving?.notAfter.toISOString(), nextAt: undefined, error: this.#failure };
    return this.#hold?.certificate.status();
  }

  close(): void {
    this.#stop.abort();
    clearInterval(this.#checking);
    clearTimeout(this.#again);
    this.#unwatch?.();
    this.#hold?.release();
  }

  #read(signal: AbortSignal): Promise<ServingCertificate> {
    const { hostname, sources } = this.#options;
    if (this.#tls.source === 'files') return readCertificateFiles(this.#tls, hostname);
    return this.#hold ? this.#hold.certificate.first(signal) : sources.local.forHostname(hostname);
  }

  /** Follows the source: file changes and renewals. */
  #watch(): void {
    const { hostname, sources } = this.#options;
    const [unwatch, hold] = [this.#unwatch, this.#hold];
    this.#unwatch =
      this.#tls.source === 'files' ? watchCertificateFiles(this.#tls, () => void this.#renew()) : undefined;
    this.#hold =
      this.#tls.source === 'acme'
        ? sources.acme.hold(hostname, this.#tls, {
            onNew: (certificate) => this.#serve(certificate),
            onFailed: (error, current) => this.#orderFailed(error, current),
          })
        : undefined;
    // Only after the new hold exists, so that an unchanged certificate is not ordered again.
    unwatch?.();
    hold?.release();
  }

  /** The local CA's certificates are valid for over a year, but a process can run longer. Files belong to the user. */
  #check(): void {
    if (this.#serving && this.#tls.source === 'local') void this.#renew();
    this.#checkExpiry();
  }

  #checkExpiry(): void {
    const [tls, serving] = [this.#tls, this.#serving];
    if (tls.source !== 'files' || !serving || !expiresSoon(serving)) return;
    this.#options.onTrouble?.({ kind: 'expires', file: tls.certFile, notAfter: serving.notAfter });
  }

  /**
   * Keeps the previous certificate while the source has no valid one: a file may be half written, or a CA
   * unavailable.
   */
  async #renew({ isAgain = false } = {}): Promise<void> {
    clearTimeout(this.#again);
    const tls = this.#tls;
    try {
      const certificate = await this.#read(this.#stop.signal);
      this.#failure = undefined;
      this.#serve(certificate);
    } catch (error) {
      if (this.#stop.signal.aborted || tls !== this.#tls) return;
      this.#failed(asPortalError(error), isAgain);
    }
  }

  #failed(error: PortalError, isAgain: boolean): void {
    const { log, onTrouble } = this.#options;
    if (this.#tls.source === 'files') {
      this.#failure = error;
      if (isAgain && this.#serving)
        return onTrouble?.({ kind: 'failed', error, notAfter: this.#serving.notAfter });
      clearTimeout(this.#again);
      this.#again = setTimeout(() => void this.#renew({ isAgain: true }), AGAIN_MS).unref();
    }
    log.warn({ reason: error.message }, 'the new certificate is invalid; still serving the old one');
  }

  /** Portal orders again while the CA does not respond, and there is still time. */
  #orderFailed(error: PortalError, current: ServingCertificate): void {
    if (error.code === 'acme_unreachable' && !expiresSoon(current)) return;
    this.#options.onTrouble?.({ kind: 'failed', error, notAfter: current.notAfter });
  }

  #serve(certificate: ServingCertificate): void {
    if (certificate.fingerprint === this.#serving?.fingerprint || this.#stop.signal.aborted) return;
    this.#serving = certificate;
    this.#options.onNew(certificate);
    this.#options.log.info({ notAfter: certificate.notAfter.toISOString() }, 'serving a new certificate');
    this.#checkExpiry();
  }
}
