import type { Phase } from '../agent/status.js';
import type { PortalEvent } from '../reconcile/events.js';

/** A service that will open, and its number of leases. */
export interface ExpectedLeases {
  readonly service: string;
  readonly leases: number;
  /** There may be more leases, on relays that are not chosen yet. */
  readonly more?: boolean;
}

export type Outcome = 'pending' | 'ready' | 'failed';

interface Row {
  /** How many leases the service is expected to have. */
  readonly leases: number;
  /** More leases may come. */
  readonly more: boolean;
  /** Phase of each lease, by relay. */
  readonly phases: Map<string, Phase>;
}

/** Tracks the first attempt to publish each service, from lease events. */
export class LeaseBoard {
  readonly #rows: ReadonlyMap<string, Row>;

  constructor(expected: readonly ExpectedLeases[]) {
    this.#rows = new Map(
      expected.map(({ service, leases, more = false }) => [service, { leases, more, phases: new Map() }]),
    );
  }

  note(event: PortalEvent): void {
    if (event.event !== 'lease') return;
    const row = this.#rows.get(event.service);
    if (event.phase !== 'draining' && event.phase !== 'closed') row?.phases.set(event.relay, event.phase);
    // The end of a lease does not change how it started. A lease that another one replaced does not count.
    else if (row?.more && row.phases.get(event.relay) !== 'ready') row.phases.delete(event.relay);
  }

  /** Pending until each lease is ready or failed permanently; then failed only if no lease is ready. */
  outcome(service: string): Outcome {
    const row = this.#rows.get(service);
    if (!row) return 'pending';
    const count = (wanted: Phase): number =>
      [...row.phases.values()].filter((phase) => phase === wanted).length;
    const ready = count('ready');
    if (ready + count('failed') < Math.max(row.leases, row.phases.size)) return 'pending';
    if (ready > 0) return 'ready';
    // With chosen relays, the service failed only if those leases failed, too.
    return row.more && row.phases.size <= row.leases ? 'pending' : 'failed';
  }

  /** Services with this outcome, in the order of the file. */
  services(outcome: Outcome): string[] {
    return [...this.#rows.keys()].filter((service) => this.outcome(service) === outcome);
  }

  /** No service is expected. */
  get isEmpty(): boolean {
    return this.#rows.size === 0;
  }

  /** Every service failed permanently, and there is at least one. */
  allFailed(): boolean {
    return this.#rows.size > 0 && this.services('failed').length === this.#rows.size;
  }
}
