import { LIMITS } from '../../protocol/limits.js';

/**
 * When a rejected agent should retry: after the agents rejected before it, at the rate at which handshakes end. Networks take
 * turns: the first agent of each network comes before the second of any. So a client that is rejected a thousand times does
 * not make other networks wait longer.
 */
export class RetryPace {
  readonly #leastPerSecond: number;
  #second = 0;
  #ended = { now: 0, before: 0 };
  /** Rejections of each network, in this second and in the one before. */
  #rejected = new Map<string, number>();
  #rejectedBefore = new Map<string, number>();
  /** How many networks had at least one rejection in these two seconds, how many at least two, and so on. */
  #networks: number[] = [];

  constructor(leastPerSecond: number) {
    this.#leastPerSecond = leastPerSecond;
  }

  /** Call when a handshake ends. */
  ended(): void {
    this.#turn();
    this.#ended.now++;
  }

  /** Counts a rejection of `network`; returns the seconds until its retry. */
  after(network: string): number {
    this.#turn();
    const own = (this.#rejected.get(network) ?? 0) + 1;
    this.#rejected.set(network, own);
    const turns = own + (this.#rejectedBefore.get(network) ?? 0);
    this.#networks[turns - 1] = (this.#networks[turns - 1] ?? 0) + 1;
    let ahead = 0;
    for (const networks of this.#networks.slice(0, turns)) ahead += networks;
    const perSecond = Math.max(this.#leastPerSecond, this.#ended.now, this.#ended.before);
    return Math.min(Math.ceil(ahead / perSecond), LIMITS.maxComeBackMs / 1000);
  }

  #turn(): void {
    const second = Math.floor(performance.now() / 1000);
    if (second === this.#second) return;
    const isNext = second === this.#second + 1;
    this.#second = second;
    this.#ended = { now: 0, before: isNext ? this.#ended.now : 0 };
    this.#rejectedBefore = isNext ? this.#rejected : new Map();
    this.#rejected = new Map();
    this.#networks = [];
    for (const count of this.#rejectedBefore.values())
      for (let turn = 0; turn < count; turn++) this.#networks[turn] = (this.#networks[turn] ?? 0) + 1;
  }
}
