/**
 * Turns for the work that costs a relay most before it knows the client: TLS handshakes with the relay itself, and signatures.
 * Networks take turns, whichever of the two they request. Visitors are served between two rounds.
 */

/** Turns of one round of the event loop take at most this together, unless a single turn takes longer. */
const ROUND_MS = 4;
/** Node accepts one connection per round. While more may wait to be accepted, this many rounds pass between two turns. */
const ROUNDS_OF_ARRIVALS = 4;

/**
 * A client needs one TLS handshake and two signatures. With two signatures per TLS handshake as many clients finish as start.
 * With fewer, all would start and none would finish in time.
 */
const SIGNATURES_FOR_ONE_TLS = 2;

/** The kind of work. */
type Kind = 'tls' | 'signature';

export class Turns {
  readonly #waiting: Readonly<Record<Kind, Ring>> = { tls: new Ring(), signature: new Ring() };
  /** Signatures since the last TLS handshake. */
  #signatures = 0;
  #isScheduled = false;
  /** Whether a connection was accepted in this round of the event loop. */
  #hasArrival = false;
  #roundsSkipped = 0;
  /** When the turns of this round of the event loop started (`performance.now()`). */
  #roundAt: number | undefined;

  /** Runs `work`, which creates or verifies a signature, when it is the turn of `network`. */
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

  /** Call when a connection is accepted. The front routes it before others get their turn, since it may be a visitor's. */
  arrived(): void {
    if (this.#hasArrival) return;
    this.#hasArrival = true;
    setImmediate(() => (this.#hasArrival = false));
  }

  /**
   * Calls `work` when it is the turn of `network`: immediately if it is the first in this round of the event loop. The queue is
   * as long as the relay has connections.
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
    // Node does the work of a TLS handshake right after this, so measure the turn then.
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

/** The networks that wait, in the order of their turns, each with its work. */
class Ring {
  readonly #queues = new Map<string, (() => void)[]>();

  /** Number of networks that wait. */
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
    // Moves the network to the end of the ring.
    this.#queues.delete(network);
    if (queue.length > 0) this.#queues.set(network, queue);
    return work;
  }
}
