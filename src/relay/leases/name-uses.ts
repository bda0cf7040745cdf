import type { Logger } from '../../lib/logger.js';
import type { Reservations } from '../names/reservations.js';
import type { LocalLease, OwnHolder } from './lease.js';
import { networkOfHolder, type LeaseTable } from './lease-table.js';

export interface NameUsesOptions {
  readonly table: Pick<LeaseTable, 'all'>;
  readonly reservations: Reservations;
  /** How long a lease must be held for its name to stay reserved. */
  readonly reserveAfterMs: number;
  readonly log: Logger;
}

/**
 * Stores that the names of leases are in use, so that a name in use never expires. Only this class writes `storedAt`, `firm` and
 * `heldSince` of a lease that has begun.
 */
export class NameUses {
  readonly #options: NameUsesOptions;

  constructor(options: NameUsesOptions) {
    this.#options = options;
  }

  /** Throws if another identity has reserved `name`. */
  async check(name: string, holder: OwnHolder): Promise<void> {
    await this.#options.reservations.check(name, userOf(holder));
  }

  /** Call when a lease begins. `reserve` must follow. */
  begin(lease: LocalLease): void {
    Object.assign(lease, { storedAt: undefined, firm: true, heldSince: performance.now() });
  }

  /** Reserves the name of a lease that begins. Throws if the identity may not have it. */
  async reserve(lease: LocalLease, holder: OwnHolder): Promise<void> {
    const now = Date.now();
    const { name, isOwnDomain } = lease.record;
    if (isOwnDomain) {
      lease.storedAt = now;
      return;
    }
    const { usedAt, firm } = await this.#options.reservations.claim(name, userOf(holder), now);
    Object.assign(lease, { storedAt: usedAt, firm });
  }

  /** Stores the last use of a name. Logs a failure, since the lease does not depend on it, and resolves with false. */
  async store(lease: LocalLease): Promise<boolean> {
    const { record, network, firm } = lease;
    if (lease.storedAt === undefined) return false;
    lease.storedAt = Date.now();
    if (record.isOwnDomain) return true;
    const user = { address: record.owner, network };
    try {
      await this.#options.reservations.use(record.name, user, lease.storedAt, firm);
      return true;
    } catch (error) {
      this.#options.log.error({ err: error }, 'cannot store the last use of a name');
      return false;
    }
  }

  /** Stores the last use of names that were not stored for a while. Called periodically. */
  refresh(): void {
    const { table, reservations } = this.#options;
    const before = Date.now() - reservations.refreshMs;
    for (const lease of table.all())
      if (lease.storedAt !== undefined && lease.storedAt <= before) void this.store(lease);
  }

  /**
   * Marks names that were held long enough as reserved. Called every `everyMs`. The reservation of the first use must not end
   * before the next call, since another identity could get the name then.
   */
  confirm(everyMs: number): void {
    const before = performance.now() - this.#options.reserveAfterMs + everyMs;
    for (const lease of this.#options.table.all()) {
      if (lease.firm || lease.heldSince > before) continue;
      lease.firm = true;
      // The next call tries again.
      void this.store(lease).then((isStored) => (lease.firm = isStored));
    }
  }
}

const userOf = (holder: OwnHolder) => ({ address: holder.address, network: networkOfHolder(holder) });
