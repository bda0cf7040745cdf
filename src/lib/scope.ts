import { PortalError } from './errors.js';

type Cleanup = () => void | Promise<void>;

/** Closes everything that registers with it, in reverse order and each once. An error does not stop the others. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #cleanups = new Set<Cleanup>();
  #closing: Promise<void> | undefined;

  /** Aborts when the scope starts to close. Pass it to every wait. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Registers a cleanup. The returned function removes it again, for a resource that closed earlier. If the scope is closed
   * already, the cleanup runs immediately, so nothing opened late stays open.
   */
  defer(cleanup: Cleanup): () => void {
    if (this.closed) {
      void (async () => cleanup())().catch(() => undefined);
      return () => undefined;
    }
    this.#cleanups.add(cleanup);
    return () => this.#cleanups.delete(cleanup);
  }

  /** A scope that closes with this one, or earlier. */
  child(): Scope {
    const child = new Scope();
    const forget = this.defer(() => child.close());
    child.defer(forget);
    return child;
  }

  /** Runs every cleanup, last registered first. Every call waits for the same close. */
  close(reason?: unknown): Promise<void> {
    this.#closing ??= this.#run(reason);
    return this.#closing;
  }

  async #run(reason: unknown): Promise<void> {
    this.#controller.abort(reason ?? new PortalError('aborted', 'stopped'));
    const failures: unknown[] = [];
    for (const cleanup of [...this.#cleanups].toReversed()) {
      this.#cleanups.delete(cleanup);
      try {
        await cleanup();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'cleaning up failed');
  }
}
