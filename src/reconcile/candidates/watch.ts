import { PortalError } from '../../lib/errors.js';
import type { SessionState } from '../relays.js';

export interface SessionWatchOptions {
  readonly isChosen: (key: string) => boolean;
  /** Which of these relays answer on their session within `ms`. */
  readonly answers: (keys: readonly string[], ms: number) => Promise<ReadonlyMap<string, boolean>>;
  /** Whether a relay that is not in use answers: then it is not the network here. */
  readonly someoneAnswers: () => Promise<boolean>;
  /** How a chosen relay is: with an error, it is down, since `at`. */
  readonly note: (key: string, error: PortalError | undefined, at?: number) => void;
  /** A chosen one is, or is not, what it was: it is time to choose again. */
  readonly onNews: () => void;
  /** Round trip of the slowest of those that are chosen, milliseconds. */
  readonly slowestMs: () => number;
  readonly paces: { readonly answerMs: number; readonly backMs: number };
}

/** An answer that is late by so much more says that this machine was away, not the relay. */
export const AWAY = 1.5;

/** Watches the sessions with relays that were chosen, so that a failure shows within two seconds. */
export class SessionWatch {
  readonly #options: SessionWatchOptions;
  readonly #connected = new Set<string>();
  /** Until when a relay is to be connected. */
  readonly #deadlines = new Map<string, NodeJS.Timeout>();
  #isAsking = false;
  #isClosed = false;

  constructor(options: SessionWatchOptions) {
    this.#options = options;
  }

  isConnected(key: string): boolean {
    return this.#connected.has(key);
  }

  /** What became of the session with a relay. */
  session(key: string, state: SessionState, error?: PortalError): void {
    if (state === 'connected') this.#connected.add(key);
    else this.#connected.delete(key);
    if (this.#isClosed || !this.#options.isChosen(key)) return;
    const failed = error ?? new PortalError('relay_unreachable', `the session with ${key} was lost`);
    if (state === 'lost') return this.expect(key, this.#options.paces.backMs, failed);
    this.forget(key);
    this.#options.note(key, state === 'connected' ? undefined : failed);
    this.#options.onNews();
  }

  /** It counts as down unless it is connected within `ms`. */
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

  /** Has those in use answer, twice before one is given up: one that froze keeps its connection. */
  async ask(): Promise<void> {
    const { isChosen, note } = this.#options;
    // Relays elsewhere; chains, and the one in this process, say nothing of the network.
    const keys = [...this.#connected].filter((key) => /^https:[^,]*$/.test(key));
    const chosen = keys.filter(isChosen);
    if (this.#isAsking || chosen.length === 0) return;
    this.#isAsking = true;
    const startedAt = performance.now();
    try {
      const answers = await this.#answers(keys, this.#options.paces.answerMs);
      if (!answers) return;
      for (const key of chosen) if (answers.get(key)) note(key, undefined);
      const silent = chosen.filter((key) => answers.get(key) === false && this.#connected.has(key));
      if (silent.length > 0) await this.#askAgain(silent, [...answers.values()].includes(true), startedAt);
    } finally {
      this.#isAsking = false;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#deadlines.values()) clearTimeout(timer);
    this.#deadlines.clear();
  }

  async #askAgain(keys: readonly string[], isNetworkThere: boolean, since: number): Promise<void> {
    const answerMs = this.#options.paces.answerMs / 2;
    const answers = await this.#answers(keys, answerMs);
    const silent = keys.filter((key) => answers?.get(key) === false && this.#connected.has(key));
    if (silent.length === 0) return;
    // When not one answers it may be the network here: another relay that answers tells.
    if (!isNetworkThere && !(await this.#options.someoneAnswers())) return;
    if (this.#isClosed) return;
    for (const key of silent)
      this.#options.note(
        key,
        new PortalError('relay_unreachable', `${key} does not answer on its session`),
        since,
      );
    this.#options.onNews();
  }

  /** Undefined when this machine was away meanwhile. */
  async #answers(keys: readonly string[], ms: number): Promise<ReadonlyMap<string, boolean> | undefined> {
    const boundMs = Math.max(ms, 3 * this.#options.slowestMs());
    const startedAt = performance.now();
    const answers = await this.#options.answers(keys, boundMs);
    return this.#isClosed || performance.now() - startedAt > boundMs * AWAY ? undefined : answers;
  }
}
