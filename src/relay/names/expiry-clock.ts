/** The clock that decides when reservations of names expire. */

/** How far the machine's clock may be ahead. Corrections by time servers are smaller. */
const MAX_AHEAD_MS = 86_400_000;

export interface ExpiryClockOptions {
  /** The last known use of any name, milliseconds since the epoch. */
  readonly newestUse: number | undefined;
  /** A name without a use expires after this. */
  readonly reservationMs: number;
  /** The machine's clock, milliseconds since the epoch; `steady` is a clock that nobody sets. */
  readonly wall?: () => number;
  readonly steady?: () => number;
}

/**
 * The machine's clock, except when it is far ahead: a wrong clock must not expire everyone's names. Time in which this
 * process did not run counts only if a name was used in it. If the result is too early, names are only kept longer.
 */
export class ExpiryClock {
  readonly #wall: () => number;
  readonly #steady: () => number;
  /** Both clocks at the start. */
  readonly #start: { readonly wall: number; readonly steady: number };

  constructor({
    newestUse,
    reservationMs,
    wall = Date.now,
    steady = () => performance.now(),
  }: ExpiryClockOptions) {
    this.#wall = wall;
    this.#steady = steady;
    const now = wall();
    // If every name would have expired at the start, the clock is wrong or the relay did not run for long.
    const isFarAhead = newestUse !== undefined && now > newestUse + reservationMs;
    const at = isFarAhead ? newestUse : Math.max(now, newestUse ?? 0);
    this.#start = { wall: at, steady: steady() };
  }

  /** Whole milliseconds since the epoch: stores of times have integers. */
  now(): number {
    return Math.floor(Math.min(this.#wall(), this.#latest()));
  }

  /** How far the machine's clock is ahead of this clock, in milliseconds; 0 if this clock follows it. */
  get aheadMs(): number {
    return Math.max(0, this.#wall() - this.#latest());
  }

  #latest(): number {
    return this.#start.wall + (this.#steady() - this.#start.steady) + MAX_AHEAD_MS;
  }
}
