import type { FromRelay } from '../protocol/messages.js';
import { LIMITS } from '../protocol/limits.js';
import { Tally } from '../lib/tally.js';
import type { Lease } from './lease.js';

/** Why a relay gave up on a visitor whose lease it knows; what a visitor did by itself is none of those. */
const GIVEN_UP = ['timed_out', 'too_many_bytes', 'queue_full', 'visitor_limit'] as const;
export type GivenUp = (typeof GIVEN_UP)[number];

/** Tells one agent on which visitors of its leases the relay gave up: sums, once a second at most. */
export class UnservedNotices {
  readonly #send: (message: FromRelay<'lease.unserved'>) => void;
  readonly #due = new Set<Lease>();
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (message: FromRelay<'lease.unserved'>) => void) {
    this.#send = send;
  }

  /** `lease` has something to tell. */
  add(lease: Lease): void {
    if (lease.unserved.isEmpty) return;
    this.#due.add(lease);
    this.#timer ??= setTimeout(() => this.#tell(), LIMITS.minReportMs).unref();
  }

  /** The lease went to another session, which tells what is left. */
  forget(lease: Lease): void {
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
        this.#send({ type: 'lease.unserved', lease: lease.id, reason, count });
    this.#due.clear();
  }
}

/** Visitors of one lease on whom the relay gave up, and of whom no agent was told yet. */
export class Unreported {
  #counts = new Tally<GivenUp>();

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  add(reason: GivenUp): void {
    this.#counts.add(reason);
  }

  take(): [GivenUp, number][] {
    const taken = this.#entries;
    this.#counts = new Tally();
    return taken;
  }

  get #entries(): [GivenUp, number][] {
    return Object.entries(this.#counts.counts()) as [GivenUp, number][];
  }
}
