import type { Logger } from '../../lib/logger.js';
import type { DomainProofs } from './domains.js';
import type { LocalLease } from '../leases/lease.js';
import type { LeaseRegistry } from '../leases/leases.js';

export interface DomainWatchOptions {
  readonly proofs: DomainProofs;
  readonly leases: LeaseRegistry;
  readonly domainRecheckMs: number;
  readonly log: Logger;
}

/** Checks the proofs of domains in use periodically. Ends a lease whose proof is no longer valid. */
export class DomainWatch {
  readonly #options: DomainWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #looking = false;

  constructor(options: DomainWatchOptions) {
    this.#options = options;
    // More often than each proof is due, since they have different start times.
    const everyMs = Math.max(10, options.domainRecheckMs / 4);
    this.#timer = setInterval(() => void this.#look(), everyMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#options.proofs.close();
  }

  async #look(): Promise<void> {
    const { proofs, leases, log } = this.#options;
    if (this.#looking) return;
    this.#looking = true;
    try {
      const recheck = async (lease: LocalLease): Promise<void> => {
        const reason = await proofs.recheck(lease.record.hostname, lease.record.owner);
        if (reason !== undefined) leases.revoke(lease, reason);
      };
      await Promise.all(leases.withOwnDomains().map(recheck));
      proofs.tidy();
    } catch (error) {
      log.error({ err: error }, 'cannot check the proofs of domains again');
    } finally {
      this.#looking = false;
    }
  }
}
