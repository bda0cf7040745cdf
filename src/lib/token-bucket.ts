/** A limit of a rate: as many as `burst` at once, and `perSecond` on average. Times are milliseconds of one monotonic clock. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at: number;

  constructor(burst: number, perSecond: number, now: number = performance.now()) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#at = now;
  }

  /** Takes one and returns 0, or returns the milliseconds until one is left. */
  take(now: number = performance.now()): number {
    const waitMs = this.waitMs(now);
    if (waitMs === 0) this.#left--;
    return waitMs;
  }

  /** The milliseconds until one is left; 0 if one is. Takes nothing. */
  waitMs(now: number = performance.now()): number {
    this.#refill(now);
    return this.#left < 1 ? Math.max(1, ((1 - this.#left) / this.#perSecond) * 1_000) : 0;
  }

  /** Whether nothing was taken for long enough. */
  isFull(now: number = performance.now()): boolean {
    this.#refill(now);
    return this.#left >= this.#burst;
  }

  #refill(now: number): void {
    this.#left = Math.min(this.#burst, this.#left + (Math.max(0, now - this.#at) / 1_000) * this.#perSecond);
    this.#at = now;
  }
}

export interface TokenBucketsOptions {
  readonly burst: number;
  readonly perSecond: number;
  /** Limit of remembered keys. Beyond it, the key that took last the longest ago is forgotten. */
  readonly maxKeys: number;
}

/** A bucket for each key. A key without a bucket has a full one. */
export class TokenBuckets {
  readonly #options: TokenBucketsOptions;
  /** The longest unused first. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(options: TokenBucketsOptions) {
    this.#options = options;
  }

  /** Takes one of `key`. See `TokenBucket.take`. */
  take(key: string, now: number = performance.now()): number {
    const { burst, perSecond, maxKeys } = this.#options;
    const bucket = this.#buckets.get(key) ?? new TokenBucket(burst, perSecond, now);
    this.#buckets.delete(key);
    for (const [oldest, idle] of this.#buckets) {
      if (this.#buckets.size < maxKeys && !idle.isFull(now)) break;
      this.#buckets.delete(oldest);
    }
    this.#buckets.set(key, bucket);
    return bucket.take(now);
  }

  /** See `TokenBucket.waitMs`. */
  waitMs(key: string, now: number = performance.now()): number {
    return this.#buckets.get(key)?.waitMs(now) ?? 0;
  }

  get size(): number {
    return this.#buckets.size;
  }
}
