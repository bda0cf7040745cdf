import type { Logger } from '../../lib/logger.js';
import type { ProxyFor } from '../../net/proxy/server.js';
import { AcmeAuthority } from './authority.js';
import { AcmeChallenges } from './challenges.js';
import type { CertificateFiles } from './files.js';
import { HeldCertificate, type HoldListener, type Schedule } from './held.js';
import { AcmeStore } from './store.js';
import type { AcmeSpec } from '../spec.js';
import type { CertificateOwner } from './problem.js';

export interface AcmeOptions {
  /** The folder of accounts and certificates (lib/paths). */
  readonly folder: string;
  /** Where these are instead, if not in files of the folder. */
  readonly files?: CertificateFiles | undefined;
  readonly log: Logger;
  /** Default: `service`. */
  readonly owner?: CertificateOwner;
  readonly schedule?: Partial<Schedule>;
  readonly proxyFor?: ProxyFor | undefined;
  /** Called before the first account at a CA is created, which agrees to the CA's terms of service. */
  readonly onTermsAgreed?: (directory: string) => void;
}

/** A hostname's certificate, shared by all holders. */
export interface Hold {
  readonly certificate: HeldCertificate;
  release(): void;
}

/** Source `acme`: one account per CA, and one certificate per hostname and CA. All leases share them. */
export class AcmeCertificates {
  readonly challenges = new AcmeChallenges();
  readonly #options: AcmeOptions;
  /** By directory, email address and trusted CA, which identify the account. */
  readonly #authorities = new Map<string, { authority: AcmeAuthority; store: AcmeStore }>();
  readonly #held = new Map<string, HeldCertificate>();

  constructor(options: AcmeOptions) {
    this.#options = options;
  }

  /** Orders `hostname`'s certificate if necessary, and renews it until every hold is released. */
  hold(hostname: string, spec: AcmeSpec, listener: HoldListener): Hold {
    const account = JSON.stringify([spec.directory, spec.email, spec.caFile]);
    const key = `${hostname} ${account}`;
    let certificate = this.#held.get(key);
    if (!certificate) {
      const { authority, store } = this.#authority(account, spec);
      const { log, schedule } = this.#options;
      certificate = new HeldCertificate(hostname, { authority, store, log, schedule });
      this.#held.set(key, certificate);
    }
    const held = certificate;
    held.add(listener);
    return {
      certificate: held,
      release: () => {
        if (!held.remove(listener) || held.listeners > 0) return;
        held.close();
        this.#held.delete(key);
      },
    };
  }

  close(): void {
    for (const certificate of this.#held.values()) certificate.close();
    this.#held.clear();
    for (const { authority } of this.#authorities.values()) authority.close();
    this.challenges.close();
  }

  #authority(account: string, spec: AcmeSpec): { authority: AcmeAuthority; store: AcmeStore } {
    let known = this.#authorities.get(account);
    if (!known) {
      const store = new AcmeStore(this.#options.folder, spec.directory, this.#options.files);
      known = { store, authority: new AcmeAuthority(spec, store, this.challenges, this.#options) };
      this.#authorities.set(account, known);
    }
    return known;
  }
}
