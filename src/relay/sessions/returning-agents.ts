import type { LeaseRecord } from '../directory/record.js';
import type { Reservation } from '../store/store.js';

export interface Expected {
  readonly reservation: Reservation;
  /** Milliseconds to wait for the agent. */
  readonly leftMs: number;
}

/**
 * Owns which agents the relay expects back after its start: those with names that were reserved then. A visitor's arrival
 * must not wait for the store, so the names stay in memory while agents may reconnect.
 */
export class ReturningAgents {
  #names = new Map<string, Reservation>();
  #until = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Call when the relay starts: the agents of `names` reconnect within `graceMs`. Keeps the map. */
  start(graceMs: number, names: Map<string, Reservation>): void {
    this.#names = names;
    this.#until = performance.now() + graceMs;
    this.#timer = setTimeout(() => this.#names.clear(), graceMs).unref();
  }

  /** The agent of `name`; undefined if it is not expected. */
  of(name: string): Expected | undefined {
    const reservation = this.#names.get(name);
    const leftMs = this.#until - performance.now();
    return reservation && leftMs > 0 ? { reservation, leftMs } : undefined;
  }

  /** Call when an agent has opened a lease. Leases with a port do not serve the hostname. */
  returned({ kind, name, isOwnDomain }: LeaseRecord): void {
    if (kind === 'tls' && !isOwnDomain) this.forget(name);
  }

  /** Call when a name is released. */
  forget(name: string): void {
    this.#names.delete(name);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#names.clear();
  }
}
