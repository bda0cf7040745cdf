import { PortalError } from '../../lib/errors.js';

export interface RateLimitOptions {
  readonly perSecond: number;
  /** The message of the error: what the limit counts, and its value. */
  readonly what: string;
  readonly onRejected: () => void;
}

/** Limits the rate of each key: `perSecond`, and as many in one burst. Forgets idle keys. */
export class RateLimits {
  readonly #options: RateLimitOptions;
  readonly #limits = new Map<string, RateLimit>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /** Throws `limit_exceeded`. */
  take(key: string): void {
    const { perSecond, what, onRejected } = this.#options;
    let limit = this.#limits.get(key);
    if (!limit) {
      for (const [other, { isIdle }] of this.#limits) if (isIdle) this.#limits.delete(other);
      limit = new RateLimit(perSecond);
      this.#limits.set(key, limit);
    }
    if (limit.take()) return;
    onRejected();
    throw new PortalError('limit_exceeded', what, { retryAfterMs: 1_000 });
  }
}

class RateLimit {
  readonly #perSecond: number;
  #left: number;
  #at = performance.now();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
  }

  get isIdle(): boolean {
    this.#refill();
    return this.#left >= this.#perSecond;
  }

  take(): boolean {
    this.#refill();
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  #refill(): void {
    const now = performance.now();
    this.#left = Math.min(this.#perSecond, this.#left + ((now - this.#at) / 1_000) * this.#perSecond);
    this.#at = now;
  }
}
