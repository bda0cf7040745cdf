/**
 * Limits how often a PIN or a password may be tried, per address and in total. Times are milliseconds of one monotonic clock.
 */

export const ATTEMPTS = {
  /** Wrong attempts of an address before it has to wait. */
  free: 5,
  /** The first wait. Each further wrong attempt doubles it, up to the maximum. */
  firstWaitMs: 30_000,
  maxWaitMs: 3_600_000,
  /** An address without attempts for this long starts again. */
  forgetMs: 24 * 3_600_000,
  /**
   * A right attempt makes an address start again, once in this time: programs send the PIN or password with each request, and someone
   * else behind the address could guess between two of them.
   */
  forgiveMs: 10 * 60_000,
  /** Free wrong attempts of all addresses together. One more is free after each interval. */
  allFree: 60,
  allEveryMs: 60_000,
  /** Limit of remembered addresses. Beyond it, the one that was idle longest is forgotten. */
  maxAddresses: 10_000,
  /** Wrong credentials that are remembered for each address. More cannot be tried without a wait. */
  maxWrong: 8,
} as const;

interface Record {
  failures: number;
  /** No attempt before this time. */
  until: number;
  at: number;
  /** The user of all failures; null if they differ. */
  user: string | null;
  /** The last wrong credentials, as keyed hashes. */
  wrong: readonly string[];
}

/** What was tried. */
interface Tried {
  readonly user: string;
  /** A keyed hash of all that the visitor sent. */
  readonly id: string;
}

/** The user where there is one secret for all. */
export const ANYONE = '';

export class Attempts {
  readonly #failed = new Map<string, Record>();
  /**
   * Addresses with the user who has proven the secret there. Attempts of others do not block them. With the user: otherwise one
   * user could prove many addresses, and guess the passwords of others there. The value is the time when failures were forgotten.
   */
  readonly #proven = new Map<string, number | undefined>();
  /** Remaining wrong attempts of all addresses together. */
  #left: number = ATTEMPTS.allFree;
  #leftAt = 0;
  /** Attempts in progress, any of which may be wrong. */
  #reserved = 0;

  /** Milliseconds that `address` must wait before its next attempt; 0 if it may try now. */
  waitMs(address: string, now: number, user = ANYONE): number {
    const record = this.#failed.get(address);
    if (record && now - record.at > ATTEMPTS.forgetMs) this.#failed.delete(address);
    else if (record && record.until > now) return record.until - now;
    if (this.#proven.has(keyOf(address, user))) return 0;
    const left = this.#refill(now);
    return left >= 1 ? 0 : Math.ceil((1 - left) * ATTEMPTS.allEveryMs);
  }

  /**
   * Reserves an attempt that takes time to decide, until `release`. False if the attempts in progress may use up all that remain:
   * otherwise many addresses could try at once with the last one.
   */
  reserve(address: string, now: number, user = ANYONE): boolean {
    const isFree = this.#proven.has(keyOf(address, user)) || this.#refill(now) - this.#reserved >= 1;
    if (isFree) this.#reserved++;
    return isFree;
  }

  release(): void {
    this.#reserved--;
  }

  /** Whether `address` has tried these wrong credentials before. They count once, because programs repeat a mistyped password. */
  isRepeated(address: string, id: string): boolean {
    return this.#failed.get(address)?.wrong.includes(id) ?? false;
  }

  failed(address: string, now: number, { user, id }: Tried): void {
    const before = this.#failed.get(address);
    const failures = (before?.failures ?? 0) + 1;
    const doublings = failures - ATTEMPTS.free;
    const pauseMs = doublings < 0 ? 0 : Math.min(ATTEMPTS.firstWaitMs * 2 ** doublings, ATTEMPTS.maxWaitMs);
    remember(this.#failed, address);
    this.#failed.set(address, {
      failures,
      until: now + pauseMs,
      at: now,
      user: before && before.user !== user ? null : user,
      wrong: [...(before?.wrong ?? []), id].slice(-ATTEMPTS.maxWrong),
    });
    this.#left = Math.max(0, this.#refill(now) - 1);
  }

  /** Forgets failures of the same user only. Otherwise a user could guess the passwords of others without a limit. */
  succeeded(address: string, now: number, user = ANYONE): void {
    const key = keyOf(address, user);
    let forgivenAt = this.#proven.get(key);
    const mayForgive = forgivenAt === undefined || now - forgivenAt >= ATTEMPTS.forgiveMs;
    if (mayForgive && this.#failed.get(address)?.user === user) {
      this.#failed.delete(address);
      forgivenAt = now;
    }
    remember(this.#proven, key);
    this.#proven.set(key, forgivenAt);
  }

  /** The PIN has changed: all counts restart. Attempts in progress stay reserved. */
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

/** An address has no space. */
const keyOf = (address: string, user: string): string => `${address} ${user}`;

/** Whole seconds of a wait. Rounds up, but ignores floating-point error. */
export const seconds = (ms: number): number => Math.ceil(Math.round(ms) / 1_000);

/** Makes `key` the newest entry, and removes the oldest if there are too many. */
function remember(all: Map<string, unknown>, key: string): void {
  all.delete(key);
  const [oldest] = all.keys();
  if (all.size >= ATTEMPTS.maxAddresses && oldest !== undefined) all.delete(oldest);
}
