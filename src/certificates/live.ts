import { isDeepStrictEqual } from 'node:util';
import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { AcmeCertificates, Hold } from './acme/certificates.js';
import type { RenewalStatus } from './acme/held.js';
import { readCertificateFiles, watchCertificateFiles } from './files.js';
import type { LocalCertificates, ServingCertificate } from './source.js';
import type { TlsSpec } from './spec.js';

/** Where certificates come from that are not files. */
export interface CertificateSources {
  readonly local: LocalCertificates;
  readonly acme: AcmeCertificates;
}

export interface LiveCertificateOptions {
  readonly hostname: string;
  readonly tls: TlsSpec;
  readonly sources: CertificateSources;
  /** A new certificate is to be served from now on. */
  readonly onNew: (certificate: ServingCertificate) => void;
  readonly log: Logger;
}

/** The local CA is asked this often whether it is time for a new certificate. */
const LOOK_MS = 12 * 3_600_000;

/** One hostname's certificate over time: from whichever source, followed when that changes. */
export class LiveCertificate {
  readonly hostname: string;
  readonly #options: LiveCertificateOptions;
  readonly #stop = new AbortController();
  #tls: TlsSpec;
  #serving: ServingCertificate | undefined;
  #unwatch: (() => void) | undefined;
  #hold: Hold | undefined;
  readonly #looking: NodeJS.Timeout;

  constructor(options: LiveCertificateOptions) {
    this.hostname = options.hostname;
    this.#options = options;
    this.#tls = options.tls;
    this.#watch();
    // Those of the local CA last long, and so may the process.
    this.#looking = setInterval(() => {
      if (this.#serving && this.#tls.source === 'local') void this.#renew();
    }, LOOK_MS).unref();
  }

  /**
   * The certificate to begin with; later ones come through `onNew`. Throws `certificate_unavailable`, or what a CA
   * said; where another try is worth it, after `retryAfterMs`, it may be called again.
   */
  async open(signal: AbortSignal): Promise<ServingCertificate> {
    const certificate = await this.#read(signal);
    this.#serving = certificate;
    return certificate;
  }

  /** Takes another source in place. */
  update(tls: TlsSpec): void {
    if (isDeepStrictEqual(tls, this.#tls)) return;
    this.#tls = tls;
    this.#watch();
    void this.#renew();
  }

  /** Looks at the source now, and serves what is new there. */
  async reread(): Promise<void> {
    if (this.#serving) await this.#renew();
  }

  /** How a certificate that Portal renews is getting on; undefined for one that it does not. */
  renewal(): RenewalStatus | undefined {
    return this.#hold?.certificate.status();
  }

  close(): void {
    this.#stop.abort();
    clearInterval(this.#looking);
    this.#unwatch?.();
    this.#hold?.release();
  }

  #read(signal: AbortSignal): Promise<ServingCertificate> {
    const { hostname, sources } = this.#options;
    if (this.#tls.source === 'files') return readCertificateFiles(this.#tls, hostname);
    return this.#hold ? this.#hold.certificate.first(signal) : sources.local.forHostname(hostname);
  }

  /** Follows the source: a file that changes, a CA that renews. */
  #watch(): void {
    const { hostname, sources } = this.#options;
    const [unwatch, hold] = [this.#unwatch, this.#hold];
    this.#unwatch =
      this.#tls.source === 'files' ? watchCertificateFiles(this.#tls, () => void this.#renew()) : undefined;
    this.#hold =
      this.#tls.source === 'acme'
        ? sources.acme.hold(hostname, this.#tls, { onNew: (certificate) => this.#serve(certificate) })
        : undefined;
    // After the new one is held, so that what is the same is not begun again.
    unwatch?.();
    hold?.release();
  }

  /** While the source has no valid certificate, the previous one stays: a file may be half written, or a CA down. */
  async #renew(): Promise<void> {
    try {
      this.#serve(await this.#read(this.#stop.signal));
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#options.log.warn(
        { reason: asPortalError(error).message },
        'the new certificate is not served, the old one still is',
      );
    }
  }

  #serve(certificate: ServingCertificate): void {
    if (certificate.fingerprint === this.#serving?.fingerprint || this.#stop.signal.aborted) return;
    this.#serving = certificate;
    this.#options.onNew(certificate);
    this.#options.log.info({ notAfter: certificate.notAfter.toISOString() }, 'a new certificate is served');
  }
}
