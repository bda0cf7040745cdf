import { deferred, within } from '../../lib/wait.js';
import type { Candidate } from './candidate.js';

/**
 * Owns whether the pool has chosen relays for the first time, and how long it waits for probes before it does. A choice among
 * the few that responded first would be changed a moment later.
 */
export class FirstChoice {
  readonly #timeoutMs: number;
  readonly #stop: AbortSignal;
  #isMade = false;
  #made = deferred<void>();
  /** The lists of candidates whose loading it waits for. */
  #loading: Promise<void> | undefined;
  /** Infinity until they are loaded. */
  #deadline = Infinity;

  /** `timeoutMs` counts from when the candidates are known. `stop` ends every wait. */
  constructor(timeoutMs: number, stop: AbortSignal) {
    this.#timeoutMs = timeoutMs;
    this.#stop = stop;
  }

  get isMade(): boolean {
    return this.#isMade;
  }

  /** Resolves once it is made, after at most `ms`. */
  async made(ms: number): Promise<void> {
    await within(this.#made.promise, ms, 'the choice of relays', this.#stop).catch(() => undefined);
  }

  /** Starts the timeout once the lists of candidates are `loaded`. A later call replaces an earlier one. */
  await(loaded: Promise<void>): void {
    this.#deadline = Infinity;
    this.#loading = loaded;
    const begin = (): void => {
      if (loaded === this.#loading) this.#deadline = performance.now() + this.#timeoutMs;
    };
    void loaded.then(begin);
  }

  /** Whether it can be made now: all candidates have responded, or `wanted` of them in time. */
  isDue(candidates: readonly Candidate[], wanted: number, now: number): boolean {
    if (this.#deadline === Infinity) return false;
    const open = candidates.filter(
      ({ healthyAt, downAt }) => healthyAt === undefined && downAt === undefined,
    );
    const healthy = candidates.filter(({ healthyAt }) => healthyAt !== undefined).length;
    const isLate = now > this.#deadline - this.#timeoutMs * 0.7 && healthy >= wanted;
    return open.length === 0 || isLate || now > this.#deadline;
  }

  /** Returns whether it was not made before. */
  make(): boolean {
    if (this.#isMade) return false;
    this.#isMade = true;
    this.#made.resolve();
    return true;
  }

  /** Begins again, for other candidates. */
  reset(): void {
    this.#isMade = false;
    this.#made = deferred();
    this.#loading = undefined;
    this.#deadline = Infinity;
  }
}
