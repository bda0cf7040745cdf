import pLimit, { type LimitFunction as Limit } from 'p-limit';
import { timedOut } from './not-through.js';

/** Visits of an agent's own that are under way at a time: of all relays, and of one to begin with and at most. */
const MOST = 32;
const MOST_PER_RELAY = 24;
const LEAST_PER_RELAY = 2;

/**
 * How many of an agent's own visits are under way at a time. Hundreds of services are not visited at once; and where
 * visits time out, fewer are made, since it is often their number that makes a busy machine too slow for each.
 */
export class ProbePace {
  readonly #all = pLimit(MOST);
  readonly #perRelay = new Map<string, Limit>();

  /** Makes a visit by way of `relay`, once it is its turn. */
  run<T>(relay: string, visit: () => Promise<T>): Promise<T> {
    const limit = this.#limitOf(relay);
    return limit(() => this.#all(() => this.#watch(limit, visit)));
  }

  /** Visits to `relay` that may be under way at a time. */
  limitFor(relay: string): number {
    return this.#limitOf(relay).concurrency;
  }

  #limitOf(relay: string): Limit {
    let limit = this.#perRelay.get(relay);
    if (!limit) this.#perRelay.set(relay, (limit = pLimit(MOST_PER_RELAY)));
    return limit;
  }

  async #watch<T>(limit: Limit, visit: () => Promise<T>): Promise<T> {
    try {
      const result = await visit();
      limit.concurrency = Math.min(MOST_PER_RELAY, limit.concurrency + 1);
      return result;
    } catch (error) {
      if (timedOut(error)) limit.concurrency = Math.max(LEAST_PER_RELAY, Math.floor(limit.concurrency / 2));
      throw error;
    }
  }
}
