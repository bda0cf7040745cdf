import { PortalError } from '../../lib/errors.js';
import { TokenBuckets } from '../../lib/token-bucket.js';

export interface RateLimitOptions {
  readonly perSecond: number;
  /** The message of the error: what the limit counts, and its value. */
  readonly what: string;
  readonly onRejected: () => void;
}

/** Limit of remembered keys. */
const MAX_KEYS = 10_000;

/** Limits the rate of each key: `perSecond`, and as many in one burst. Forgets idle keys. */
export class RateLimits {
  readonly #options: RateLimitOptions;
  readonly #buckets: TokenBuckets;

  constructor(options: RateLimitOptions) {
    const { perSecond } = options;
    this.#options = options;
    this.#buckets = new TokenBuckets({ perSecond, burst: perSecond, maxKeys: MAX_KEYS });
  }

  /** Throws `limit_exceeded`. */
  take(key: string): void {
    if (this.#buckets.take(key) === 0) return;
    const { what, onRejected } = this.#options;
    onRejected();
    throw new PortalError('limit_exceeded', what, { retryAfterMs: 1_000 });
  }
}
