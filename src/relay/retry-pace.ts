import { LIMITS } from '../protocol/limits.js';

/**
 * When an agent that found no place for its handshake is to come back: after those who were sent away before it, at the pace
 * at which handshakes end. Networks take turns: the first agent of one comes before the second of another, so a client that
 * is sent away a thousand times makes no other network wait longer.
 */
export class RetryPace {
  readonly #leastPerSecond: number;
  #second = 0;
  #ended = { now: 0, before: 0 };
  /** How many of each network were sent away in this second and in the one before. */
  #sentAway = new Map<string, number>();
  #sentAwayBefore = new Map<string, number>();
  /** How many networks had one of theirs sent away in those two seconds at least, how many two, and so on. */
  #networks: number[] = [];

  constructor(leastPerSecond: number) {
    this.#leastPerSecond = leastPerSecond;
  }

  /** A handshake gave its place back. */
  ended(): void {
    this.#turn();
    this.#ended.now++;
  }

  /** One more of `network` is sent away; answers for how many seconds. */
  after(network: string): number {
    this.#turn();
    const own = (this.#sentAway.get(network) ?? 0) + 1;
    this.#sentAway.set(network, own);
    const turns = own + (this.#sentAwayBefore.get(network) ?? 0);
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
    this.#sentAwayBefore = isNext ? this.#sentAway : new Map();
    this.#sentAway = new Map();
    this.#networks = [];
    for (const count of this.#sentAwayBefore.values())
      for (let turn = 0; turn < count; turn++) this.#networks[turn] = (this.#networks[turn] ?? 0) + 1;
  }
}
