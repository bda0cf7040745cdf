/** How often a PIN may be tried: by one address, and by everybody together. Times in milliseconds, on any one clock. */

export const ATTEMPTS = {
  /** Wrong ones of an address before it has to wait. */
  free: 5,
  /** The first wait; each further wrong one doubles it, up to the last. */
  firstWaitMs: 30_000,
  maxWaitMs: 3_600_000,
  /** An address that kept quiet for this long begins anew. */
  forgetMs: 24 * 3_600_000,
  /** Wrong ones of all addresses at once, and then one more each… */
  allFree: 60,
  allEveryMs: 60_000,
  /** Addresses remembered; beyond it, the one that was quiet for longest is forgotten. */
  maxAddresses: 10_000,
} as const;

interface Record {
  failures: number;
  /** No attempt before this. */
  until: number;
  at: number;
}

export class Attempts {
  readonly #failed = new Map<string, Record>();
  /** Addresses that have known the PIN: what others try does not keep them out. */
  readonly #proven = new Set<string>();
  /** Wrong attempts that everybody together has left. */
  #left: number = ATTEMPTS.allFree;
  #leftAt = 0;

  /** How long `address` has to wait before its next attempt; 0: it may try. */
  waitMs(address: string, now: number): number {
    const record = this.#failed.get(address);
    if (record && now - record.at > ATTEMPTS.forgetMs) this.#failed.delete(address);
    else if (record && record.until > now) return record.until - now;
    if (this.#proven.has(address)) return 0;
    const left = this.#refill(now);
    return left >= 1 ? 0 : Math.ceil((1 - left) * ATTEMPTS.allEveryMs);
  }

  failed(address: string, now: number): void {
    const failures = (this.#failed.get(address)?.failures ?? 0) + 1;
    const doublings = failures - ATTEMPTS.free;
    const pauseMs = doublings < 0 ? 0 : Math.min(ATTEMPTS.firstWaitMs * 2 ** doublings, ATTEMPTS.maxWaitMs);
    remember(this.#failed, address);
    this.#failed.set(address, { failures, until: now + pauseMs, at: now });
    this.#left = Math.max(0, this.#refill(now) - 1);
  }

  succeeded(address: string): void {
    this.#failed.delete(address);
    remember(this.#proven, address);
    this.#proven.add(address);
  }

  /** The PIN is another: everybody begins anew. */
  reset(): void {
    this.#failed.clear();
    this.#proven.clear();
    this.#left = ATTEMPTS.allFree;
  }

  #refill(now: number): number {
    const gained = Math.max(0, now - this.#leftAt) / ATTEMPTS.allEveryMs;
    this.#leftAt = now;
    return (this.#left = Math.min(ATTEMPTS.allFree, this.#left + gained));
  }
}

/** Makes room for `key` at the young end. */
function remember(all: Map<string, unknown> | Set<string>, key: string): void {
  all.delete(key);
  const [oldest] = all.keys();
  if (all.size >= ATTEMPTS.maxAddresses && oldest !== undefined) all.delete(oldest);
}
