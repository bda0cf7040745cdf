import { PortalError } from '../../lib/errors.js';

export interface PaceOptions {
  readonly perSecond: number;
  /** Whose pace it is, and how fast that may be, for who is refused. */
  readonly what: string;
  readonly onRefused: () => void;
}

/** So many a second for each key, and as many at once; who did nothing for a while is not remembered. */
export class Paces {
  readonly #options: PaceOptions;
  readonly #paces = new Map<string, Pace>();

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Throws `limit_exceeded`. */
  take(key: string): void {
    const { perSecond, what, onRefused } = this.#options;
    let pace = this.#paces.get(key);
    if (!pace) {
      for (const [other, { isIdle }] of this.#paces) if (isIdle) this.#paces.delete(other);
      pace = new Pace(perSecond);
      this.#paces.set(key, pace);
    }
    if (pace.take()) return;
    onRefused();
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
