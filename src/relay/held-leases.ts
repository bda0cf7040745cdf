import { networkOf } from '../net/cidr.js';
import type { LocalLease, LeaseHolder } from './lease.js';
import { plainAddress } from './names.js';

/** Owns which session holds which leases. Only `give` writes `lease.holder`. */
export class HeldLeases {
  readonly #byHolder = new Map<LeaseHolder, Map<string, LocalLease>>();

  /** The leases of `holder`, by id. */
  of(holder: LeaseHolder): ReadonlyMap<string, LocalLease> {
    return this.#byHolder.get(holder) ?? NO_LEASES;
  }

  /** Gives `lease` to `holder`; undefined: to no session. */
  give(lease: LocalLease, holder: LeaseHolder | undefined): void {
    if (lease.holder) {
      const leases = this.#byHolder.get(lease.holder);
      leases?.delete(lease.id);
      if (leases?.size === 0) this.#byHolder.delete(lease.holder);
    }
    lease.holder = holder;
    if (!holder) return;
    lease.network = networkOfHolder(holder);
    lease.agentAddress = holder.remoteAddress;
    const leases = this.#byHolder.get(holder);
    if (leases) leases.set(lease.id, lease);
    else this.#byHolder.set(holder, new Map([[lease.id, lease]]));
  }
}

const NO_LEASES: ReadonlyMap<string, LocalLease> = new Map();

/** The network of the holder's agent, as limits count it. */
export const networkOfHolder = ({ remoteAddress }: LeaseHolder): string =>
  networkOf(plainAddress(remoteAddress));
