import { randomBytes } from 'node:crypto';
import { LIMITS } from '../../protocol/limits.js';
import type { Work } from '../../protocol/work.js';

/**
 * How much work a client must do for a handshake: none while handshakes end in a session. Failed handshakes count, per network
 * and in total. The more of them in a few seconds, the more work the next client must do.
 */

const WINDOW_MS = 5_000;
/** Free failures: this part of `maxHandshakes` in total, and the same number for one network. */
const FREE_PART = 1 / 8;
const FREE_OF_NETWORK_PART = 1 / 32;
/** Twice the failures, four times the work. */
const BITS_PER_DOUBLING = 2;
/** About half a millisecond for an agent. */
const FIRST_BITS = 8;

export class HandshakeWork {
  readonly #free: number;
  readonly #freeOfNetwork: number;
  #window = 0;
  #now = new Failures();
  #before = new Failures();

  constructor(maxHandshakes: number) {
    this.#free = Math.max(1, maxHandshakes * FREE_PART);
    this.#freeOfNetwork = Math.max(1, maxHandshakes * FREE_OF_NETWORK_PART);
  }

  /** Counts a handshake of `network` that proved nothing. */
  failed(network: string): void {
    this.#turn();
    this.#now.add(network);
  }

  /** The proof of work for the next client of `network`; undefined if none. */
  demand(network: string): Work | undefined {
    this.#turn();
    const all = bitsFor(this.#now.count + this.#before.count, this.#free);
    const own = bitsFor(this.#now.of(network) + this.#before.of(network), this.#freeOfNetwork);
    const bits = Math.max(all, own);
    return bits === 0 ? undefined : { bits, salt: randomBytes(16).toString('hex') };
  }

  #turn(): void {
    const window = Math.floor(performance.now() / WINDOW_MS);
    if (window === this.#window) return;
    this.#before = window === this.#window + 1 ? this.#now : new Failures();
    this.#now = new Failures();
    this.#window = window;
  }
}

function bitsFor(failures: number, free: number): number {
  if (failures < free) return 0;
  const bits = FIRST_BITS + BITS_PER_DOUBLING * Math.log2(failures / free);
  return Math.min(LIMITS.maxHandshakeWorkBits, Math.floor(bits));
}

/** Failed handshakes in one window. */
class Failures {
  count = 0;
  readonly #ofNetwork = new Map<string, number>();

  add(network: string): void {
    this.count++;
    this.#ofNetwork.set(network, this.of(network) + 1);
  }

  of(network: string): number {
    return this.#ofNetwork.get(network) ?? 0;
  }
}
