import { PortalError } from '../../lib/errors.js';

export interface PaceOptions {
  readonly perSecond: number;
  /** The message of the error: what the limit counts, and its value. */
  readonly what: string;
  readonly onRejected: () => void;
}

/** Limits the rate of each key: `perSecond`, and as many in one burst. Forgets idle keys. */
export class Paces {
  readonly #options: PaceOptions;
  readonly #paces = new Map<string, Pace>();

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Throws `limit_exceeded`. */
  take(key: string): void {
    const { perSecond, what, onRejected } = this.#options;
    let pace = this.#paces.get(key);
    if (!pace) {
      for (const [other, { isIdle }] of this.#paces) if (isIdle) this.#paces.delete(other);
      pace = new Pace(perSecond);
      this.#paces.set(key, pace);
    }
    if (pace.take()) return;
    onRejected();
    throw new PortalError('limit_exceeded', what, { retryAfterMs: 1_000 });
  }
}

class Pace {
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
