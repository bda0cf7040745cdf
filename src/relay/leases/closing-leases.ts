import { deferred, within, type Deferred } from '../../lib/wait.js';
import { publicPlaceOf } from '../directory/record.js';
import type { LeaseHolder, LocalLease } from './lease.js';

/** Connections to the main port that have not said yet whom they visit. */
export interface Arrivals {
  /** Resolves once the port has accepted the connections that the system completed before, within a timeout. */
  accept(): Promise<void>;
  /** When (`activeNow`) the oldest of them arrived. Undefined without any. Connections that say nothing for long do not count. */
  oldest(): number | undefined;
  now(): number;
}

export interface ClosingLeasesOptions {
  /** Whether no visitor waits for a data connection of the lease, or is on its way here from another node. */
  readonly isSettled: (lease: LocalLease) => boolean;
}

interface Closing {
  readonly lease: LocalLease;
  readonly holder: LeaseHolder;
  /** Visitors that arrived before are served. */
  until: number;
  readonly over: Deferred<void>;
}

const CHECK_EVERY_MS = 10;

/**
 * Owns the leases that their agents closed, until each visitor that had connected before has a data connection. The place of such
 * a lease is free. Its session still opens data connections for it, and its agent serves them.
 */
export class ClosingLeases {
  readonly #options: ClosingLeasesOptions;
  readonly #all = new Set<Closing>();
  #arrivals: Arrivals | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ClosingLeasesOptions) {
    this.#options = options;
  }

  /** Call when the relay has its main port. */
  watch(arrivals: Arrivals): void {
    this.#arrivals = arrivals;
  }

  /** Takes a lease that has left its owner. `accepted` resolves once its own public port has accepted its last visitor. */
  add(lease: LocalLease, holder: LeaseHolder, accepted?: Promise<void>): void {
    const closing: Closing = { lease, holder, until: Infinity, over: deferred() };
    lease.holder = holder;
    this.#all.add(closing);
    if (lease.waiting.size > 0) holder.serve(lease);
    const last = accepted ?? (lease.record.kind === 'tls' ? this.#arrivals?.accept() : undefined);
    void this.#acceptUntil(closing, last);
    this.#timer ??= setInterval(() => this.#check(), CHECK_EVERY_MS).unref();
  }

  has(lease: LocalLease): boolean {
    return this.#of(lease) !== undefined;
  }

  /** The lease of a place that a visitor of another node is for. */
  at(place: string, epoch: number): LocalLease | undefined {
    return [...this.#all].find(({ lease: { record } }) => record.place === place && record.epoch === epoch)
      ?.lease;
  }

  /** The lease for a visitor of a public place who arrived at `since` (`activeNow`), before the lease closed. */
  find(publicPlace: string, since = 0): LocalLease | undefined {
    if (this.#all.size === 0) return undefined;
    return [...this.#all].findLast(
      ({ lease, until }) => since <= until && publicPlaceOf(lease.record.place) === publicPlace,
    )?.lease;
  }

  /** Resolves once the visitors of `lease` have data connections. Rejects the rest after `ms`. */
  async settled(lease: LocalLease | undefined, ms: number): Promise<void> {
    const closing = lease && this.#of(lease);
    if (!closing) return;
    await within(closing.over.promise, ms, 'the last visitors').catch(() => this.#end(closing));
  }

  /** Call when a session ended: nothing serves its visitors. */
  lost(holder: LeaseHolder): void {
    for (const closing of this.#all) if (closing.holder === holder) this.#end(closing);
  }

  /** Call when the relay shuts down. */
  clear(): void {
    for (const { lease } of this.#all) lease.waiting.clear('timed_out');
    for (const closing of this.#all) this.#end(closing);
  }

  async #acceptUntil(closing: Closing, last: Promise<void> | undefined): Promise<void> {
    await last;
    closing.until = this.#arrivals?.now() ?? 0;
    this.#check();
  }

  #of(lease: LocalLease): Closing | undefined {
    return [...this.#all].find((closing) => closing.lease === lease);
  }

  #check(): void {
    const oldest = this.#arrivals?.oldest() ?? Infinity;
    for (const closing of this.#all) {
      const isAwaited = closing.until === Infinity || (this.#isTls(closing) && oldest <= closing.until);
      if (!isAwaited && this.#options.isSettled(closing.lease)) this.#end(closing);
    }
  }

  #isTls({ lease }: Closing): boolean {
    return lease.record.kind === 'tls';
  }

  #end(closing: Closing): void {
    if (!this.#all.delete(closing)) return;
    closing.lease.waiting.clear('lease_ended');
    closing.lease.holder = undefined;
    closing.over.resolve();
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
