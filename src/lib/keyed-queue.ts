/** Runs one task at a time for each key, in the order of arrival. Tasks with different keys do not wait for each other. */
export class KeyedQueue {
  /** By key: settles when the last task has ended. Never rejects. */
  readonly #last = new Map<string, Promise<void>>();

  /** Number of keys with a task. */
  get size(): number {
    return this.#last.size;
  }

  /** Resolves or rejects as `task` does. A task that need not wait starts immediately. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const result = this.#last.get(key)?.then(task) ?? task();
    const ended: Promise<void> = result.then(
      () => this.#forget(key, ended),
      () => this.#forget(key, ended),
    );
    this.#last.set(key, ended);
    return result;
  }

  #forget(key: string, ended: Promise<void>): void {
    if (this.#last.get(key) === ended) this.#last.delete(key);
  }
}
