import type { Socket } from 'node:net';
import type { PortalError } from '../../lib/errors.js';
import { deferred, within, type Deferred } from '../../lib/wait.js';
import type { HopTunnel } from './hop-tunnel.js';
import type { Tunnel } from './relay-endpoint.js';

/** Timeout for a connection through the tunnel that waits for the session. */
const READY_MS = 30_000;

type Open = Pick<HopTunnel, 'open'>;

/** Opens connections through a session's relay to the next of a chain. Owns the connections that wait for the session. */
export class SessionTunnel implements Tunnel {
  readonly hides = true;
  /** The tunnel of the current channel. */
  #now: Open | undefined;
  readonly #waiting = new Set<Deferred<Open>>();
  /** Why there is no session. */
  #error: PortalError | undefined;
  #closed: PortalError | undefined;
  /** The relay is shutting down: connections must move once there is a new session. */
  #isRelayDraining = false;
  /** Aborts when connections should move to the current session. */
  #moved = new AbortController();

  async ready(signal?: AbortSignal): Promise<void> {
    await this.#current(READY_MS, signal);
  }

  async open(host: string, port: number, ms: number, signal?: AbortSignal): Promise<Socket> {
    return (await this.#current(ms, signal)).open(host, port, ms, signal);
  }

  moved(): AbortSignal {
    return this.#moved.signal;
  }

  /** The session has a new channel. `moves`: it replaces another one. */
  opened(tunnel: Open, { moves }: { readonly moves: boolean }): void {
    this.#now = tunnel;
    this.#error = undefined;
    if (moves || this.#isRelayDraining) {
      this.#isRelayDraining = false;
      const before = this.#moved;
      this.#moved = new AbortController();
      before.abort();
    }
    for (const waiting of this.#waiting) waiting.resolve(tunnel);
    this.#waiting.clear();
  }

  /** The channel has ended. */
  ended({ code }: PortalError): void {
    this.#now = undefined;
    this.#isRelayDraining = code === 'shutting_down';
  }

  /** The session was lost, or an attempt failed: nothing waits for another one. */
  failed(error: PortalError): void {
    this.#error = error;
    for (const waiting of this.#waiting) waiting.reject(error);
    this.#waiting.clear();
  }

  /** No session follows. */
  close(reason: PortalError): void {
    this.#closed = reason;
    this.failed(reason);
  }

  /** Waits for the session. Rejects when an attempt fails. */
  async #current(ms: number, signal?: AbortSignal): Promise<Open> {
    if (this.#closed) throw this.#closed;
    if (this.#now) return this.#now;
    const waiting = deferred<Open>();
    waiting.promise.catch(() => undefined);
    this.#waiting.add(waiting);
    try {
      return await within(waiting.promise, ms, 'a session with the relay before it', signal);
    } catch (error) {
      // The reason of the failure is more specific than a timeout.
      throw (error as PortalError).code === 'timeout' ? (this.#error ?? error) : error;
    } finally {
      this.#waiting.delete(waiting);
    }
  }
}
