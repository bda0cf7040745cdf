import { PortalError } from '../../lib/errors.js';
import type { SessionState } from '../relays/relays.js';

export interface SessionWatchOptions {
  readonly isChosen: (key: string) => boolean;
  /** The relays among these that respond on their session within `ms`. */
  readonly responding: (keys: readonly string[], ms: number) => Promise<ReadonlyMap<string, boolean>>;
  /** Whether a relay that is not in use responds, which shows that the local network works. */
  readonly anotherResponds: () => Promise<boolean>;
  /** Records the health of a chosen relay: with an error, it is down since `at`. */
  readonly note: (key: string, error: PortalError | undefined, at?: number) => void;
  /** The health of a chosen relay has changed: choose again. */
  readonly onNews: () => void;
  /** The slowest round-trip time among the chosen relays, in milliseconds. */
  readonly slowestMs: () => number;
  readonly paces: { readonly responseMs: number; readonly reconnectMs: number };
}

/** A response that is late by this factor means that this machine was suspended, not that the relay failed. */
export const SUSPENDED_FACTOR = 1.5;

/** Watches the sessions with chosen relays, so that a failure shows within two seconds. */
export class SessionWatch {
  readonly #options: SessionWatchOptions;
  readonly #connected = new Set<string>();
  /** The deadlines by which relays must be connected. */
  readonly #deadlines = new Map<string, NodeJS.Timeout>();
  #isAsking = false;
  #isClosed = false;

  constructor(options: SessionWatchOptions) {
    this.#options = options;
  }

  isConnected(key: string): boolean {
    return this.#connected.has(key);
  }

  /** Records a new state of the session with a relay. */
  session(key: string, state: SessionState, error?: PortalError): void {
    if (state === 'connected') this.#connected.add(key);
    else this.#connected.delete(key);
    if (this.#isClosed || !this.#options.isChosen(key)) return;
    const failed = error ?? new PortalError('relay_unreachable', `the session with ${key} was lost`);
    if (state === 'lost') return this.expect(key, this.#options.paces.reconnectMs, failed);
    this.forget(key);
    this.#options.note(key, state === 'connected' ? undefined : failed);
    this.#options.onNews();
  }

  /** Counts the relay as down unless it connects within `ms`. */
  expect(key: string, ms: number, error: PortalError): void {
    this.forget(key);
    if (this.#connected.has(key)) return;
    const since = performance.now();
    const timer = setTimeout(() => {
      this.#deadlines.delete(key);
      if (this.#connected.has(key)) return;
      this.#options.note(key, error, since);
      this.#options.onNews();
    }, ms);
    this.#deadlines.set(key, timer.unref());
  }

  forget(key: string): void {
    clearTimeout(this.#deadlines.get(key));
    this.#deadlines.delete(key);
  }

  /** Checks the relays in use, twice before one counts as down. A frozen relay keeps its connection open. */
  async ask(): Promise<void> {
    const { isChosen, note } = this.#options;
    // Only remote relays: chains and the embedded relay say nothing about the network.
    const keys = [...this.#connected].filter((key) => /^https:[^,]*$/.test(key));
    const chosen = keys.filter(isChosen);
    if (this.#isAsking || chosen.length === 0) return;
    this.#isAsking = true;
    const startedAt = performance.now();
    try {
      const responses = await this.#responding(keys, this.#options.paces.responseMs);
      if (!responses) return;
      for (const key of chosen) if (responses.get(key)) note(key, undefined);
      const silent = chosen.filter((key) => responses.get(key) === false && this.#connected.has(key));
      if (silent.length > 0) await this.#askAgain(silent, [...responses.values()].includes(true), startedAt);
    } finally {
      this.#isAsking = false;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#deadlines.values()) clearTimeout(timer);
    this.#deadlines.clear();
  }

  async #askAgain(keys: readonly string[], isNetworkUp: boolean, since: number): Promise<void> {
    const responseMs = this.#options.paces.responseMs / 2;
    const responses = await this.#responding(keys, responseMs);
    const silent = keys.filter((key) => responses?.get(key) === false && this.#connected.has(key));
    if (silent.length === 0) return;
    // If no relay responds, the local network may be down. The response of another relay decides.
    if (!isNetworkUp && !(await this.#options.anotherResponds())) return;
    if (this.#isClosed) return;
    for (const key of silent)
      this.#options.note(
        key,
        new PortalError('relay_unreachable', `${key} does not respond on its session`),
        since,
      );
    this.#options.onNews();
  }

  /** Undefined if this machine was suspended meanwhile. */
  async #responding(keys: readonly string[], ms: number): Promise<ReadonlyMap<string, boolean> | undefined> {
    const timeoutMs = Math.max(ms, 3 * this.#options.slowestMs());
    const startedAt = performance.now();
    const responses = await this.#options.responding(keys, timeoutMs);
    return this.#isClosed || performance.now() - startedAt > timeoutMs * SUSPENDED_FACTOR
      ? undefined
      : responses;
  }
}
