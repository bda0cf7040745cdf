import type { FromRelay } from '../../protocol/messages.js';
import { LIMITS } from '../../protocol/limits.js';
import { Tally } from '../../lib/tally.js';
import type { LocalLease } from '../leases/lease.js';

/** Why a relay gave up on a visitor of a known lease. A visitor that disconnects is not among them. */
const GIVEN_UP = ['timed_out', 'too_many_bytes', 'queue_full', 'visitor_limit'] as const;
export type UnservedCause = (typeof GIVEN_UP)[number];

/** Reports to an agent the visitors of its leases that the relay gave up on: sums, at most once a second. */
export class UnservedNotices {
  readonly #send: (message: FromRelay<'lease.unserved'>) => void;
  readonly #due = new Set<LocalLease>();
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (message: FromRelay<'lease.unserved'>) => void) {
    this.#send = send;
  }

  /** Call when `lease` has something to report. */
  add(lease: LocalLease): void {
    if (lease.unserved.isEmpty) return;
    this.#due.add(lease);
    this.#timer ??= setTimeout(() => this.#tell(), LIMITS.minReportMs).unref();
  }

  /** Call when the lease goes to another session, which reports the rest. */
  forget(lease: LocalLease): void {
    this.#due.delete(lease);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #tell(): void {
    this.#timer = undefined;
    for (const lease of this.#due)
      for (const [reason, count] of lease.unserved.take())
        this.#send({ type: 'lease.unserved', lease: lease.record.id, reason, count });
    this.#due.clear();
  }
}

/** Visitors of one lease that the relay gave up on and has not reported to an agent yet. */
export class UnservedCounts {
  #counts = new Tally<UnservedCause>();

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  add(reason: UnservedCause, count = 1): void {
    this.#counts.add(reason, count);
  }

  take(): [UnservedCause, number][] {
    const taken = this.#entries;
    this.#counts = new Tally();
    return taken;
  }

  get #entries(): [UnservedCause, number][] {
    return Object.entries(this.#counts.counts()) as [UnservedCause, number][];
  }
}
