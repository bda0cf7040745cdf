/**
 * What costs a relay most before it knows anything of a client, in turns: handshakes of TLS with the relay itself, and
 * signatures. Networks take turns, whatever each of them asks for; and visitors are served between two rounds.
 */

/** Turns of one round of the event loop take no longer than this together, or one takes longer. */
const ROUND_MS = 4;
/** Node accepts one connection in a round: while more may wait to be accepted, so many rounds go by between two turns. */
const ROUNDS_OF_ARRIVALS = 4;

/**
 * A client needs one TLS handshake and two signatures. With two turns of signatures for one of TLS, as many clients get
 * through as begin; with fewer, all of them would begin, and none be done in time.
 */
const SIGNATURES_FOR_ONE_TLS = 2;

/** What a turn is for. */
type Kind = 'tls' | 'signature';

export class Turns {
  readonly #waiting: Readonly<Record<Kind, Ring>> = { tls: new Ring(), signature: new Ring() };
  /** Turns of signatures since the last one of TLS. */
  #signatures = 0;
  #isScheduled = false;
  /** A connection was accepted in this round of the event loop. */
  #hasArrival = false;
  #roundsSkipped = 0;
  /** Moment at which the turns of this round of the event loop began. */
  #roundAt: number | undefined;

  /** The signature that `work` returns or checks, when it is the turn of `network`. */
  run<T>(network: string, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.take('signature', network, () => {
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

  /**
   * Calls `work` when it is the turn of `network`: at once where it is the first in this round of the event loop. Those who
   * wait are as many as the relay has connections for.
   */
  take(kind: Kind, network: string, work: () => void): void {
    if (!this.#isAwaited && this.#roundAt === undefined && !this.#hasArrival) {
      this.#beginRound();
      work();
      return;
    }
    this.#waiting[kind].push(network, work);
    this.#schedule();
  }

  get #isAwaited(): boolean {
    return this.#waiting.tls.size + this.#waiting.signature.size > 0;
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
    if (!this.#isAwaited) return;
    if (this.#hasArrival) return this.#schedule();
    // What node does of a handshake, it does right after this: only then is known what the turn took.
    process.nextTick(() => {
      if (performance.now() - beganAt > ROUND_MS) this.#schedule();
      else this.#go();
    });
  }

  #next(): (() => void) | undefined {
    const { tls, signature } = this.#waiting;
    const isOfTls = signature.size === 0 || (tls.size > 0 && this.#signatures >= SIGNATURES_FOR_ONE_TLS);
    this.#signatures = isOfTls ? 0 : this.#signatures + 1;
    return (isOfTls ? tls : signature).next();
  }
}

/** Networks, each with what it waits for, in the order of their turns. */
class Ring {
  readonly #queues = new Map<string, (() => void)[]>();

  /** How many networks wait. */
  get size(): number {
    return this.#queues.size;
  }

  push(network: string, work: () => void): void {
    const queue = this.#queues.get(network);
    if (queue) queue.push(work);
    else this.#queues.set(network, [work]);
  }

  next(): (() => void) | undefined {
    const [next] = this.#queues;
    if (!next) return undefined;
    const [network, queue] = next;
    const work = queue.shift();
    // At the end of the ring.
    this.#queues.delete(network);
    if (queue.length > 0) this.#queues.set(network, queue);
    return work;
  }
}
