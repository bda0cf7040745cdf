import { LIMITS } from '../../protocol/limits.js';
import type { SharedConnection } from './data-connection.js';

/** The data connections of one session that have served a visitor and wait for a ticket for the next one. */
export class KeptConnections {
  readonly #timers = new Map<SharedConnection, NodeJS.Timeout>();
  readonly #ms: number;
  #isClosed = false;

  /** Closes connections without a ticket after `ms`. */
  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Keeps a connection; false if there is no room for it. */
  add(connection: SharedConnection): boolean {
    if (this.#isClosed || this.#timers.size >= LIMITS.maxIdleDataConnections) return false;
    this.#timers.set(connection, setTimeout(() => connection.destroy(), this.#ms).unref());
    return true;
  }

  delete(connection: SharedConnection): void {
    clearTimeout(this.#timers.get(connection));
    this.#timers.delete(connection);
  }

  /** Closes all of them, and keeps no more. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#timers.keys()) connection.destroy();
  }
}
