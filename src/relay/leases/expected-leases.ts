import { randomUUID } from 'node:crypto';
import type { LeaseDirectory } from '../directory/directory.js';
import { nameOf } from '../names/names.js';
import type { Reservations } from '../names/reservations.js';
import type { Quotas } from '../protection/quotas.js';
import type { ReturningAgents } from '../sessions/returning-agents.js';
import type { Reservation } from '../store/store.js';
import { newLease, type LocalLease } from './lease.js';
import type { LeaseTable } from './lease-table.js';

export interface ExpectedLeasesOptions {
  readonly returning: ReturningAgents;
  readonly table: LeaseTable;
  readonly directory: LeaseDirectory;
  readonly reservations: Reservations;
  readonly quotas: Quotas;
  readonly domain: string;
}

/** Makes leases for visitors who arrive after a restart, before the agents of the previous process have reconnected. */
export class ExpectedLeases {
  readonly #options: ExpectedLeasesOptions;

  constructor(options: ExpectedLeasesOptions) {
    this.#options = options;
  }

  /**
   * A lease for visitors of a reserved name whose agent has not reconnected since the start. They wait as if the agent had
   * disconnected a moment ago. Undefined if no agent is expected.
   */
  at(hostname: string): LocalLease | undefined {
    const { returning, table, reservations, domain } = this.#options;
    const name = nameOf(hostname, domain);
    const expected = name === undefined ? undefined : returning.of(name);
    if (name === undefined || !expected || table.stopped) return undefined;
    const { reservation, leftMs } = expected;
    if (!reservations.holds(reservation)) return undefined;
    const lease = this.#leaseFor(reservation, name, hostname);
    try {
      table.add(lease, undefined);
    } catch {
      return undefined;
    }
    // Stores nothing: a visit does not count as use of the name.
    lease.graceTimer = setTimeout(() => table.remove(lease), leftMs).unref();
    return lease;
  }

  #leaseFor(reservation: Reservation, name: string, hostname: string): LocalLease {
    const { directory, reservations, quotas } = this.#options;
    const owner = reservation.address;
    return newLease({
      record: {
        id: randomUUID(),
        place: hostname,
        name,
        hostname,
        isOwnDomain: false,
        kind: 'tls',
        owner,
        instance: undefined,
        portHost: undefined,
        node: directory.node,
        session: undefined,
        // Claimed when the agent returns, which may be at another node.
        epoch: 0,
        port: undefined,
        // The carrier that every agent can use, whatever it requests later.
        carrier: 'tls',
      },
      rate: quotas.rateOf(owner),
      storedAt: reservation.usedAt,
      firm: reservations.isFirm(reservation),
    });
  }
}
