/**
 * What costs a relay most before it knows anything of a client, in turns: handshakes of TLS with the relay itself, and
 * signatures. Networks take turns, whatever each of them asks for; and visitors are served between two rounds.
 */

/** Turns of one round of the event loop take no longer than this together, or one takes longer. */
const ROUND_MS = 4;
/** Node accepts one connection in a round: while more may wait to be accepted, so many rounds go by between two turns. */
const ROUNDS_OF_ARRIVALS = 4;

export class Turns {
  /** By network, in the order of their turns. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #isScheduled = false;
  /** A connection was accepted in this round of the event loop. */
  #hasArrival = false;
  #roundsSkipped = 0;
  /** Moment at which the turns of this round of the event loop began. */
  #roundAt: number | undefined;

  /** What `work` returns, done when it is the turn of `network`. Those who wait are as many as the relay has connections for. */
  run<T>(network: string, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.take(network, () => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** A connection was accepted. What it is, visitor or not, is found out before others get their turn. */
  arrived(): void {
    if (this.#hasArrival) return;
    this.#hasArrival = true;
    setImmediate(() => (this.#hasArrival = false));
  }

  /** Calls `work` when it is the turn of `network`: at once where it is the first in this round of the event loop. */
  take(network: string, work: () => void): void {
    if (this.#waiting.size === 0 && this.#roundAt === undefined && !this.#hasArrival) {
      this.#beginRound();
      work();
      return;
    }
    const queue = this.#waiting.get(network);
    if (queue) queue.push(work);
    else this.#waiting.set(network, [work]);
    this.#schedule();
  }

  #beginRound(): number {
    const now = performance.now();
    this.#roundAt = now;
    setImmediate(() => (this.#roundAt = undefined));
    return now;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#go());
  }

  #go(): void {
    this.#isScheduled = false;
    if (this.#hasArrival && this.#roundsSkipped < ROUNDS_OF_ARRIVALS) {
      this.#roundsSkipped++;
      return this.#schedule();
    }
    this.#roundsSkipped = 0;
    const beganAt = this.#roundAt ?? this.#beginRound();
    const next = this.#next();
    if (!next) return;
    next();
    if (this.#waiting.size === 0) return;
    if (this.#hasArrival) return this.#schedule();
    // What node does of a handshake, it does right after this: only then is known what the turn took.
    process.nextTick(() => {
      if (performance.now() - beganAt > ROUND_MS) this.#schedule();
      else this.#go();
    });
  }

  #next(): (() => void) | undefined {
    const [next] = this.#waiting;
    if (!next) return undefined;
    const [network, queue] = next;
    const work = queue.shift();
    // At the end of the line.
    this.#waiting.delete(network);
    if (queue.length > 0) this.#waiting.set(network, queue);
    return work;
  }
}
