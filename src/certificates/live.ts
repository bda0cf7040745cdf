import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { asPortalError, type PortalError } from '../lib/errors.js';
import { atTime } from '../lib/wall-clock.js';
import type { AcmeCertificates, Hold } from './acme/certificates.js';
import { readCertificateFiles, watchCertificateFiles } from './files.js';
import {
  expiresSoon,
  type CertificateNews,
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
  /** Called when the certificate changes, or is not renewed. The same news may come several times. */
  readonly onNews?: ((news: CertificateNews) => void) | undefined;
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
  /** The same, once its dates were needed: hundreds of the local CA's are not parsed at a start. */
  #parsed: X509Certificate | undefined;
  #unwatch: (() => void) | undefined;
  #hold: Hold | undefined;
  /** Why the source has no new certificate. Only of files. */
  #failure: PortalError | undefined;
  #again: NodeJS.Timeout | undefined;
  /** The latest read of the source. Files may change while they are read. */
  #reads = 0;
  #untilEnd: (() => void) | undefined;
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
    this.#has(certificate);
    return certificate;
  }

  /**
   * The certificate of a public CA that an earlier process stored, without an order. Undefined without one, and for other
   * sources. Rejects if it cannot be read within `timeoutMs`.
   */
  async stored(signal: AbortSignal, timeoutMs: number): Promise<ServingCertificate | undefined> {
    const certificate = await this.#hold?.certificate.stored(signal, timeoutMs);
    if (certificate && !this.#serving) this.#has(certificate);
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

  /** Checks the source now, and serves a new certificate. Resolves with whether the source has a valid one. */
  async reread(): Promise<boolean> {
    return this.#serving === undefined || this.#renew({ isWritten: true });
  }

  /** Undefined for certificates of the local CA. */
  renewal(): RenewalStatus | undefined {
    if (this.#hold) return { ...this.#hold.certificate.status(), expiresSoon: this.#expiresSoon };
    if (this.#tls.source !== 'files') return undefined;
    const notAfter = this.#serving?.notAfter.toISOString();
    return { notAfter, nextAt: undefined, error: this.#failure, expiresSoon: this.#expiresSoon };
  }

  close(): void {
    this.#stop.abort();
    clearInterval(this.#checking);
    clearTimeout(this.#again);
    this.#untilEnd?.();
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
    if (this.#tls.source === 'files' && this.#expiresSoon) this.#expires();
  }

  #has(certificate: ServingCertificate): void {
    this.#serving = certificate;
    this.#parsed = undefined;
    this.#untilEnd?.();
    this.#untilEnd = atTime(certificate.notAfter.getTime(), () => this.#expires());
    if (this.#tls.source === 'files' && this.#expiresSoon) this.#expires();
  }

  get #expiresSoon(): boolean {
    if (!this.#serving) return false;
    this.#parsed ??= new X509Certificate(this.#serving.cert);
    return expiresSoon(this.#parsed);
  }

  #expires(): void {
    const [tls, serving] = [this.#tls, this.#serving];
    if (!serving) return;
    const file = tls.source === 'files' ? { file: tls.certFile } : {};
    this.#options.onNews?.({ kind: 'expires', ...file, notAfter: serving.notAfter });
  }

  /**
   * Keeps the previous certificate while the source has no valid one: a CA may be unavailable. Resolves with whether it has one.
   *
   * @param isWritten whether the files are written completely, so that an error lasts
   */
  async #renew({ isWritten = false } = {}): Promise<boolean> {
    clearTimeout(this.#again);
    const read = ++this.#reads;
    try {
      const certificate = await this.#read(this.#stop.signal);
      if (read === this.#reads) this.#valid(certificate);
      return true;
    } catch (error) {
      if (!this.#stop.signal.aborted && read === this.#reads) this.#failed(asPortalError(error), isWritten);
      return false;
    }
  }

  #valid(certificate: ServingCertificate): void {
    const [failure, current] = [this.#failure, this.#serving];
    this.#failure = undefined;
    this.#serve(certificate);
    if (failure && current === this.#serving)
      this.#options.onNews?.({ kind: 'restored', notAfter: certificate.notAfter });
  }

  #failed(error: PortalError, isWritten: boolean): void {
    if (!this.#serving) return;
    if (this.#tls.source === 'files') {
      this.#failure = error;
      if (!isWritten) {
        this.#again = setTimeout(() => void this.#renew({ isWritten: true }), AGAIN_MS).unref();
        return;
      }
    }
    this.#options.onNews?.({ kind: 'failed', error, notAfter: this.#serving.notAfter });
  }

  /** Portal orders again while the CA does not respond, and there is still time. */
  #orderFailed(error: PortalError, current: ServingCertificate): void {
    if (error.code === 'acme_unreachable' && !expiresSoon(new X509Certificate(current.cert))) return;
    this.#options.onNews?.({ kind: 'failed', error, notAfter: current.notAfter });
  }

  #serve(certificate: ServingCertificate): void {
    const current = this.#serving;
    if (certificate.fingerprint === current?.fingerprint || this.#stop.signal.aborted) return;
    this.#has(certificate);
    this.#options.onNew(certificate);
    if (current && this.#tls.source !== 'local')
      this.#options.onNews?.({ kind: 'renewed', notAfter: certificate.notAfter });
  }
}
