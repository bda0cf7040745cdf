import { busy } from '../postgres/database.js';

/** Executes writes one after another. A read waits for the writes that were requested before it. */
export class PostgresWrites {
  failures = 0;
  readonly #waitMs: number;
  /** Settles with the last write. Never rejects. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  async run<T>(write: () => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + this.#waitMs;
    const result = this.#last.then(() => {
      if (performance.now() > giveUpAt) throw busy(new Error('the writes before it took too long'));
      return write();
    });
    this.#last = result.catch(() => this.failures++);
    return result;
  }

  async settled(): Promise<void> {
    await this.#last;
  }
}
