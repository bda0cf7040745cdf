/** What time it is, where that decides whether somebody loses a name. */

/** The machine's clock may be ahead of what it should be by so much: steps of time servers are shorter. */
const MAX_AHEAD_MS = 86_400_000;

export interface LapseClockOptions {
  /** The last use of any name that is known, milliseconds since the epoch. */
  readonly newestUse: number | undefined;
  /** After so long without a use a name lapses. */
  readonly reservationMs: number;
  /** Milliseconds since the epoch, as the machine has it; and of a clock that nobody sets. */
  readonly wall?: () => number;
  readonly steady?: () => number;
}

/**
 * The machine's clock, but not where it leaps ahead: a wrong one must not take everybody's names. Time that this process
 * was not there for counts only where names were used in it. Too early is harmless: a name is kept for longer.
 */
export class ExpiryClock {
  readonly #wall: () => number;
  readonly #steady: () => number;
  /** The two clocks at the start. */
  readonly #start: { readonly wall: number; readonly steady: number };

  constructor({
    newestUse,
    reservationMs,
    wall = Date.now,
    steady = () => performance.now(),
  }: LapseClockOptions) {
    this.#wall = wall;
    this.#steady = steady;
    const now = wall();
    // Every single name would have lapsed while nobody was looking: that is a wrong clock, or a relay that was away.
    const isFarAhead = newestUse !== undefined && now > newestUse + reservationMs;
    const at = isFarAhead ? newestUse : Math.max(now, newestUse ?? 0);
    this.#start = { wall: at, steady: steady() };
  }

  now(): number {
    return Math.min(this.#wall(), this.#latest());
  }

  /** How far the machine's clock is beyond what is believed, in milliseconds; 0: it is believed. */
  get aheadMs(): number {
    return Math.max(0, this.#wall() - this.#latest());
  }

  #latest(): number {
    return this.#start.wall + (this.#steady() - this.#start.steady) + MAX_AHEAD_MS;
  }
}
