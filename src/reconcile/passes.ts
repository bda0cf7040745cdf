import type { Desired } from '../config/desired.js';
import { deferred, type Deferred } from '../lib/wait.js';

/** Runs one pass at a time. Requests during a pass merge into the next one, and only the last counts. */
export class Passes {
  readonly #run: (desired: Desired) => Promise<void>;
  #next: { desired: Desired; done: Deferred<void> } | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  constructor(run: (desired: Desired) => Promise<void>) {
    this.#run = run;
  }

  /** The configuration of the next pass, if one is requested. */
  get next(): Desired | undefined {
    return this.#next?.desired;
  }

  /** Resolves or rejects with the pass for `desired` or for a later configuration. */
  ask(desired: Desired): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const done = this.#next?.done ?? deferred<void>();
    this.#next = { desired, done };
    this.#running ??= this.#runAll();
    return done.promise;
  }

  /** Starts no further pass. */
  close(): void {
    this.#isClosed = true;
  }

  /** Resolves once the pass in progress has ended. */
  async ended(): Promise<void> {
    await this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#next && !this.#isClosed) {
      const { desired, done } = this.#next;
      this.#next = undefined;
      try {
        await this.#run(desired);
        done.resolve();
      } catch (error) {
        done.reject(error);
      }
    }
    this.#running = undefined;
    this.#next?.done.resolve();
  }
}
