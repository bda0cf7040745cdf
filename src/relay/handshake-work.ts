import { randomBytes } from 'node:crypto';
import { LIMITS } from '../protocol/limits.js';
import type { Work } from '../protocol/work.js';

/**
 * How much work a handshake costs its client: none while handshakes end in a session. Those that come to nothing are counted,
 * of all networks and of each, and the more they were within some seconds, the more the next client has to do.
 */

const WINDOW_MS = 5_000;
/** So many of all networks, as a part of `maxHandshakes`, and so many of one are free. */
const FREE_PART = 1 / 8;
const FREE_OF_NETWORK_PART = 1 / 32;
/** Twice as many failures: four times the work. */
const BITS_PER_DOUBLING = 2;
/** Half a millisecond for an agent. */
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

  /** A handshake of `network` proved nothing. */
  failed(network: string): void {
    this.#turn();
    this.#now.add(network);
  }

  /** What the next client of `network` has to do; undefined: nothing. */
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

/** Handshakes that came to nothing in one window. */
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
