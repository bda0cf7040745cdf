/**
 * How long this process did not run: it was frozen, the machine was busy, or its own work took that long. It could
 * not read responses meanwhile, so timeouts must not count that time.
 */

const TICK_MS = 100;
/** A tick later than this counts as delayed. */
const ON_TIME_MS = 20;

/** Adds up how late each tick is. */
export class StallClock {
  readonly #now: () => number;
  #checkedAt: number;
  #stalledMs = 0;

  /** `now` returns milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
    this.#checkedAt = now();
  }

  /** Call it every `TICK_MS`. */
  readonly tick = (): void => {
    this.#stalledMs += this.#lateMs;
    this.#checkedAt = this.#now();
  };

  /** Milliseconds in which the process did not run, including a stall that is about to end. */
  get stalledMs(): number {
    return this.#stalledMs + this.#lateMs;
  }

  get #lateMs(): number {
    const lateMs = this.#now() - this.#checkedAt - TICK_MS;
    return lateMs > ON_TIME_MS ? lateMs : 0;
  }
}

let clock: StallClock | undefined;

/** Milliseconds in which this process did not run, since the first call. */
export function stalledMs(): number {
  if (!clock) {
    clock = new StallClock(realNow);
    realInterval(clock.tick, TICK_MS).unref();
  }
  return clock.stalledMs;
}

/** A clock that stops while this process does not run, in milliseconds. Measure a peer's silence with it. */
export function activeNow(): number {
  return performance.now() - stalledMs();
}

/**
 * Calls `task` every `ms`, after this process has read what had arrived. Use it to look for silent peers: after a freeze, a timer
 * fires before anything is read. Does not keep the process running.
 */
export function intervalAfterInput(task: () => void, ms: number): NodeJS.Timeout {
  return setInterval(() => setImmediate(task), ms).unref();
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

// A test may replace the clock and the timers.
const realNow = performance.now.bind(performance);
const realInterval = setInterval;
