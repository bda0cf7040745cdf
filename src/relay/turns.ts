/**
 * What costs a relay most before it knows anything of a client, in turns: handshakes of TLS with the relay itself, and
 * signatures. Networks take turns, whatever each of them asks for; and visitors are served between two turns.
 */

/** In one round of the event loop. */
const AT_A_TIME = 2;

export class Turns {
  /** By network, in the order of their turns. */
  readonly #waiting = new Map<string, (() => void)[]>();
  /** Those of this round of the event loop, or about to be. */
  #taken = 0;

  /** Resolves when it is the turn of `network`. Those who wait are as many as the relay has connections for. */
  pass(network: string): Promise<void> {
    return new Promise((resolve) => this.take(network, resolve));
  }

  /** Calls `work` when it is the turn of `network`: at once where nobody waits. */
  take(network: string, work: () => void): void {
    if (this.#waiting.size === 0 && this.#taken < AT_A_TIME) {
      this.#begin();
      work();
      return;
    }
    const queue = this.#waiting.get(network);
    if (queue) queue.push(work);
    else this.#waiting.set(network, [work]);
  }

  /** One turn is taken until the event loop has come round. */
  #begin(): void {
    this.#taken++;
    setImmediate(() => {
      this.#taken--;
      const [next] = this.#waiting;
      if (!next) return;
      const [network, queue] = next;
      const work = queue.shift()!;
      // At the end of the line.
      this.#waiting.delete(network);
      if (queue.length > 0) this.#waiting.set(network, queue);
      this.#begin();
      work();
    });
  }
}
