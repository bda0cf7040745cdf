/**
 * How long this process did not run: it was frozen, the machine was busy, or its own work took that long. It could not read
 * answers meanwhile, so timeouts must not count that time.
 */

const LOOK_EVERY_MS = 100;
/** A look later than this counts as delayed. */
const ON_TIME_MS = 20;

/** Adds up how late each look is. */
export class StallClock {
  readonly #now: () => number;
  #lookedAt: number;
  #stalledMs = 0;

  /** `now` is a clock that nobody sets, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#lookedAt = now();
  }

  /** Call it every `LOOK_EVERY_MS`. */
  readonly look = (): void => {
    this.#stalledMs += this.#lateMs;
    this.#lookedAt = this.#now();
  };

  /** Milliseconds in which the process did not run, including a stall that is about to end. */
  get stalledMs(): number {
    return this.#stalledMs + this.#lateMs;
  }

  get #lateMs(): number {
    const lateMs = this.#now() - this.#lookedAt - LOOK_EVERY_MS;
    return lateMs > ON_TIME_MS ? lateMs : 0;
  }
}

let clock: StallClock | undefined;

/** Milliseconds in which this process did not run, since the first call. */
export function stalledMs(): number {
  if (!clock) {
    clock = new StallClock(realNow);
    setInterval(clock.look, LOOK_EVERY_MS).unref();
  }
  return clock.stalledMs;
}

/** A clock that stops while this process does not run, in milliseconds: use it to measure silence of others. */
export function attendedNow(): number {
  return performance.now() - stalledMs();
}

/** When a peer last sent something, and how long it has been silent. */
export class LastHeard {
  #at = performance.now();
  #stalledMs = stalledMs();

  get at(): number {
    return this.#at;
  }

  /** Milliseconds of silence, without the time in which this process did not run. */
  get silentMs(): number {
    return performance.now() - this.#at - (stalledMs() - this.#stalledMs);
  }

  now(): void {
    this.#at = performance.now();
    this.#stalledMs = stalledMs();
  }
}

// A test may replace the clock.
const realNow = performance.now.bind(performance);
