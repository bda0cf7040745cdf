import { isDeepStrictEqual } from 'node:util';
import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { TlsSpec } from './spec.js';
import { readCertificateFiles, watchCertificateFiles } from './files.js';
import type { LocalCertificates, ServingCertificate } from './source.js';

export interface LiveCertificateOptions {
  readonly hostname: string;
  readonly tls: TlsSpec;
  /** Where `tls: local` comes from. */
  readonly local: LocalCertificates;
  /** A new certificate is to be served from now on. */
  readonly onNew: (certificate: ServingCertificate) => void;
  readonly log: Logger;
}

/** One hostname's certificate over time: from whichever source, followed when that changes. */
export class LiveCertificate {
  readonly #options: LiveCertificateOptions;
  #tls: TlsSpec;
  #serving: string | undefined;
  #unwatch: (() => void) | undefined;

  constructor(options: LiveCertificateOptions) {
    this.#options = options;
    this.#tls = options.tls;
  }

  /** The certificate to begin with; later ones come through `onNew`. Throws `certificate_unavailable`. */
  async open(): Promise<ServingCertificate> {
    const certificate = await this.#read();
    this.#serving = certificate.fingerprint;
    this.#watch();
    return certificate;
  }

  /** Takes another source in place. */
  update(tls: TlsSpec): void {
    if (isDeepStrictEqual(tls, this.#tls)) return;
    this.#tls = tls;
    this.#watch();
    void this.#renew();
  }

  close(): void {
    this.#unwatch?.();
  }

  #read(): Promise<ServingCertificate> {
    const { hostname, local } = this.#options;
    return this.#tls.source === 'files'
      ? readCertificateFiles(this.#tls, hostname)
      : local.forHostname(hostname);
  }

  #watch(): void {
    this.#unwatch?.();
    this.#unwatch =
      this.#tls.source === 'files' ? watchCertificateFiles(this.#tls, () => void this.#renew()) : undefined;
  }

  /** While the source has nothing that fits, what was served goes on: a file may be half written, or wrong. */
  async #renew(): Promise<void> {
    const { onNew, log } = this.#options;
    try {
      const certificate = await this.#read();
      if (certificate.fingerprint === this.#serving) return;
      this.#serving = certificate.fingerprint;
      onNew(certificate);
      log.info({ notAfter: certificate.notAfter.toISOString() }, 'a new certificate is served');
    } catch (error) {
      log.warn(
        { reason: asPortalError(error).message },
        'the new certificate is not served, the old one still is',
      );
    }
  }
}
