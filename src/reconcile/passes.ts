import type { Desired } from '../config/desired.js';
import { deferred, type Deferred } from '../lib/wait.js';

/** One pass at a time: what is asked for meanwhile folds into the next one, of which only the last counts. */
export class Passes {
  readonly #run: (desired: Desired) => Promise<void>;
  #next: { desired: Desired; done: Deferred<void> } | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  constructor(run: (desired: Desired) => Promise<void>) {
    this.#run = run;
  }

  /** What the next pass will be about, if one is asked for. */
  get next(): Desired | undefined {
    return this.#next?.desired;
  }

  /** Resolves, or rejects, with the pass that is about `desired` or about what came after it. */
  ask(desired: Desired): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const done = this.#next?.done ?? deferred<void>();
    this.#next = { desired, done };
    this.#running ??= this.#runAll();
    return done.promise;
  }

  /** Begins no further pass. */
  close(): void {
    this.#isClosed = true;
  }

  /** Resolves once the pass that runs, if one does, has ended. */
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
