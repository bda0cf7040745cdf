import type { Phase } from '../agent/status.js';
import type { PortalEvent } from '../reconcile/events.js';
import type { Expected } from './reporters/reporter.js';

export type Outcome = 'pending' | 'ready' | 'failed';

interface Row {
  /** How many leases it is to have. */
  readonly leases: number;
  /** Phase of each, by relay. */
  readonly phases: Map<string, Phase>;
}

/** How the first pass goes, service by service, put together from the lease events. */
export class LeaseBoard {
  readonly #rows: ReadonlyMap<string, Row>;

  constructor(expected: readonly Expected[]) {
    this.#rows = new Map(expected.map(({ service, leases }) => [service, { leases, phases: new Map() }]));
  }

  note(event: PortalEvent): void {
    // How a lease goes in the end says nothing about how it began.
    if (event.event !== 'lease' || event.phase === 'draining' || event.phase === 'closed') return;
    this.#rows.get(event.service)?.phases.set(event.relay, event.phase);
  }

  /** Pending until each lease is ready or failed for good; then failed only if none is ready. */
  outcome(service: string): Outcome {
    const row = this.#rows.get(service);
    if (!row) return 'pending';
    const count = (wanted: Phase): number =>
      [...row.phases.values()].filter((phase) => phase === wanted).length;
    const ready = count('ready');
    if (ready + count('failed') < row.leases) return 'pending';
    return ready > 0 ? 'ready' : 'failed';
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
