/** What one step of a loop did, and when the next one follows. */
export type Step =
  /** Nothing is left to do until `run` or `retry`. */
  | 'idle'
  /** The next step follows at once. */
  | 'next'
  /** The next step follows at once, and the pause after a failure is short again. */
  | 'succeeded'
  /** The step failed. A pause follows: twice the previous one, up to `maxPauseMs`. */
  | { readonly maxPauseMs: number };

export interface RetryLoopOptions {
  readonly step: () => Promise<Step>;
  /** Called when a step has ended and no other one starts. A pause may have started. */
  readonly onRest: () => void;
  /** A step threw. The longest pause follows. */
  readonly onError: (error: unknown) => void;
  readonly minPauseMs: number;
  readonly maxPauseMs: number;
}

/** Runs steps one at a time, with a pause after a failure, because a target that fails needs time to recover. */
export class RetryLoop {
  readonly #options: RetryLoopOptions;
  #running: Promise<void> | undefined;
  /** Called during a step: once no step is in progress, the loop continues. */
  #again: 'run' | 'retry' | undefined;
  #pause: NodeJS.Timeout | undefined;
  #failures = 0;
  #isStopped = false;

  constructor(options: RetryLoopOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** There is something new to do. A pause after a failure continues. */
  run(): void {
    this.#start('run');
  }

  /** The next step may succeed: ends a pause, and makes later ones short again. */
  retry(): void {
    this.#failures = 0;
    this.#start('retry');
  }

  /** Starts no more steps. Resolves once the one in progress has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#pause);
    await this.#running;
  }

  #start(how: 'run' | 'retry'): void {
    if (this.#isStopped) return;
    if (this.#running) {
      if (this.#again !== 'retry') this.#again = how;
      return;
    }
    if (this.#pause && how === 'run') return;
    clearTimeout(this.#pause);
    this.#pause = undefined;
    this.#running = this.#steps()
      .catch((error: unknown) => {
        this.#options.onError(error);
        this.#pauseFor(this.#options.maxPauseMs);
      })
      .finally(() => {
        const again = this.#again;
        this.#running = this.#again = undefined;
        if (again) this.#start(again);
        if (!this.isRunning) this.#options.onRest();
      });
  }

  async #steps(): Promise<void> {
    while (!this.#isStopped) {
      const step = await this.#options.step();
      if (step === 'idle') return;
      if (step === 'succeeded') this.#failures = 0;
      else if (step !== 'next') return this.#failed(step.maxPauseMs);
    }
  }

  #failed(maxPauseMs: number): void {
    this.#pauseFor(Math.min(this.#options.minPauseMs * 2 ** Math.min(this.#failures++, 20), maxPauseMs));
  }

  #pauseFor(ms: number): void {
    clearTimeout(this.#pause);
    if (!this.#isStopped) this.#pause = setTimeout(() => this.#start('retry'), ms).unref();
  }
}
