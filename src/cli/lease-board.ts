import type { Phase } from '../agent/status.js';
import type { PortalEvent } from '../reconcile/events.js';
import type { Expected } from './reporters/reporter.js';

export type Outcome = 'pending' | 'ready' | 'failed';

interface Row {
  /** How many leases it is to have. */
  readonly leases: number;
  /** More may come. */
  readonly more: boolean;
  /** Phase of each, by relay. */
  readonly phases: Map<string, Phase>;
}

/** How the first pass goes, service by service, put together from the lease events. */
export class LeaseBoard {
  readonly #rows: ReadonlyMap<string, Row>;

  constructor(expected: readonly Expected[]) {
    this.#rows = new Map(
      expected.map(({ service, leases, more = false }) => [service, { leases, more, phases: new Map() }]),
    );
  }

  note(event: PortalEvent): void {
    if (event.event !== 'lease') return;
    const row = this.#rows.get(event.service);
    if (event.phase !== 'draining' && event.phase !== 'closed') row?.phases.set(event.relay, event.phase);
    // How a lease goes in the end says nothing about how it began; one that gave way to another does not count.
    else if (row?.more && row.phases.get(event.relay) !== 'ready') row.phases.delete(event.relay);
  }

  /** Pending until each lease is ready or failed for good; then failed only if none is ready. */
  outcome(service: string): Outcome {
    const row = this.#rows.get(service);
    if (!row) return 'pending';
    const count = (wanted: Phase): number =>
      [...row.phases.values()].filter((phase) => phase === wanted).length;
    const ready = count('ready');
    if (ready + count('failed') < Math.max(row.leases, row.phases.size)) return 'pending';
    if (ready > 0) return 'ready';
    // Those that were chosen have failed as well.
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

  /** Every service failed for good, and there was one. */
  allFailed(): boolean {
    return this.#rows.size > 0 && this.services('failed').length === this.#rows.size;
  }
}
