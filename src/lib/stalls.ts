/**
 * How long this process had no turn: it was frozen, a busy machine gave it none, or its own work took that long. What
 * others answered meanwhile could not be read, so no timeout should count that time.
 */

const LOOK_EVERY_MS = 100;
/** A look that is later than this was held up. */
const ON_TIME_MS = 20;

/** Counts by how much each look came too late. */
export class StallClock {
  readonly #now: () => number;
  #lookedAt: number;
  #stalledMs = 0;

  /** `now` is a clock that nobody sets, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#lookedAt = now();
  }

  /** To be called every `LOOK_EVERY_MS`. */
  readonly look = (): void => {
    this.#stalledMs += this.#lateMs;
    this.#lookedAt = this.#now();
  };

  /** Milliseconds without a turn so far, a stall that ends now included. */
  get stalledMs(): number {
    return this.#stalledMs + this.#lateMs;
  }

  get #lateMs(): number {
    const lateMs = this.#now() - this.#lookedAt - LOOK_EVERY_MS;
    return lateMs > ON_TIME_MS ? lateMs : 0;
  }
}

let clock: StallClock | undefined;

/** Milliseconds in which this process had no turn, since it was first asked. */
export function stalledMs(): number {
  if (!clock) {
    clock = new StallClock(realNow);
    setInterval(clock.look, LOOK_EVERY_MS).unref();
  }
  return clock.stalledMs;
}

/** A clock that stands still while this process has no turn, in milliseconds: for how long others are silent, say. */
export function attendedNow(): number {
  return performance.now() - stalledMs();
}

/** When a peer was heard last, and for how long it has been silent since. */
export class LastHeard {
  #at = performance.now();
  #stalledMs = stalledMs();

  get at(): number {
    return this.#at;
  }

  /** Milliseconds, without those in which this process could not have heard it. */
  get silentMs(): number {
    return performance.now() - this.#at - (stalledMs() - this.#stalledMs);
  }

  now(): void {
    this.#at = performance.now();
    this.#stalledMs = stalledMs();
  }
}

// A test may put another clock in its place.
const realNow = performance.now.bind(performance);
