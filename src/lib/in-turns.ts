/** The part of the time of other work that waiting work gets: a half, so at least a third of all. */
const SHARE = 1 / 2;

/**
 * Spreads work that arrives in bursts over several rounds of the event loop, so that a burst does not delay everything else until
 * its end.
 */
export class InTurns {
  readonly #minMs: number;
  readonly #waiting: (() => void)[] = [];
  /** This round, once some of the work ran in it. */
  #round: { readonly beganAt: number; readonly ms: number } | undefined;
  /** When the last round ended its part, with work left. */
  #leftAt: number | undefined;
  #isRunning = false;

  /** `minMs`: the time for it in each round, however short the rounds are. At least one piece runs in any case. */
  constructor(minMs: number) {
    this.#minMs = minMs;
  }

  /** Calls `work` now if nothing waits and this round has time left, otherwise in a later round. The order is kept. */
  take(work: () => void): void {
    this.#waiting.push(work);
    if (!this.#isRunning) this.#run();
  }

  #run(): void {
    const work = this.#waiting[0];
    if (!work) return;
    const now = performance.now();
    const round = (this.#round ??= this.#begin(now));
    if (now - round.beganAt >= round.ms) {
      this.#leftAt ??= now;
      return;
    }
    this.#waiting.shift();
    this.#isRunning = true;
    try {
      work();
    } finally {
      // Node does the work of a TLS handshake right after this.
      process.nextTick(() => {
        this.#isRunning = false;
        this.#run();
      });
    }
  }

  #begin(now: number): { beganAt: number; ms: number } {
    // With work left, the loop does not wait for events, so this was all other work.
    const otherMs = this.#leftAt === undefined ? 0 : now - this.#leftAt;
    this.#leftAt = undefined;
    setImmediate(() => {
      this.#round = undefined;
      if (!this.#isRunning) this.#run();
    });
    return { beganAt: now, ms: Math.max(this.#minMs, otherMs * SHARE) };
  }
}
