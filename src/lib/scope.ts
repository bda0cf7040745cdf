import { PortalError } from './errors.js';

type Cleanup = () => void | Promise<void>;

/**
 * Everything that is opened registers its close here; closing runs them in reverse order, each once,
 * and one that throws does not keep the others from running.
 */
export class Scope {
  readonly #controller = new AbortController();
  readonly #cleanups = new Set<Cleanup>();
  #closing: Promise<void> | undefined;

  /** Aborts when the scope begins to close. Hand it to every wait. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Registers a cleanup; the returned function takes it back (for what ended by itself).
   * On a scope that is closed already the cleanup runs at once, so nothing opened late is left behind.
   */
  defer(cleanup: Cleanup): () => void {
    if (this.closed) {
      void (async () => cleanup())().catch(() => undefined);
      return () => undefined;
    }
    this.#cleanups.add(cleanup);
    return () => this.#cleanups.delete(cleanup);
  }

  /** A scope that closes with this one, and may close earlier. */
  child(): Scope {
    const child = new Scope();
    const forget = this.defer(() => child.close());
    child.defer(forget);
    return child;
  }

  /** Runs every cleanup, last registered first. Idempotent: every caller waits for the same close. */
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
