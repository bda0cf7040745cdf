import pLimit, { type LimitFunction as Limit } from 'p-limit';
import { timedOut } from './not-through.js';

/** Limits of the agent's own visits in progress: for all relays, and per relay. */
const MAX_TOTAL = 32;
const MAX_PER_RELAY = 24;
const MIN_PER_RELAY = 2;

/**
 * Limits the agent's own visits in progress, so that hundreds of services are not visited at the same time. When visits time
 * out, the limit shrinks, because on a busy machine their number is often the cause.
 */
export class ProbePace {
  readonly #all = pLimit(MAX_TOTAL);
  readonly #perRelay = new Map<string, Limit>();

  /** Visits through `relay` once the limits allow it. */
  run<T>(relay: string, visit: () => Promise<T>): Promise<T> {
    const limit = this.#limitOf(relay);
    return limit(() => this.#all(() => this.#watch(limit, visit)));
  }

  /** The current limit of visits to `relay`. */
  limitFor(relay: string): number {
    return this.#limitOf(relay).concurrency;
  }

  #limitOf(relay: string): Limit {
    let limit = this.#perRelay.get(relay);
    if (!limit) this.#perRelay.set(relay, (limit = pLimit(MAX_PER_RELAY)));
    return limit;
  }

  async #watch<T>(limit: Limit, visit: () => Promise<T>): Promise<T> {
    try {
      const result = await visit();
      limit.concurrency = Math.min(MAX_PER_RELAY, limit.concurrency + 1);
      return result;
    } catch (error) {
      if (timedOut(error)) limit.concurrency = Math.max(MIN_PER_RELAY, Math.floor(limit.concurrency / 2));
      throw error;
    }
  }
}
