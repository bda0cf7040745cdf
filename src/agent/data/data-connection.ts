import type { Socket } from 'node:net';
import { PortalError } from '../../lib/errors.js';
import { deferred, type Deferred } from '../../lib/wait.js';
import { ReusableConnection, type ReusableOwner } from '../../net/reuse/reusable-connection.js';
import { LIMITS } from '../../protocol/limits.js';
import { shownText } from '../../protocol/ticket.js';

/** A data connection whose ticket the relay has. */
export interface DataConnection {
  /**
   * Resolves with the stream of a visitor once the relay has started it. Rejects when the connection ends or `signal` aborts.
   */
  started(signal: AbortSignal): Promise<Socket>;
}

export interface SharedOptions {
  /** The TLS session that tickets are proven for (`channelOf`). */
  readonly channel: string;
  /** The relay prefers tickets whose names begin with this. */
  readonly tag: string;
  /** Called after each visit. Returns false if the connection is no longer needed. */
  readonly onFree: (connection: SharedConnection) => boolean;
}

/** A data connection that serves several visitors, each with a ticket of its own. */
export class SharedConnection implements DataConnection, ReusableOwner {
  readonly #connection: ReusableConnection;
  readonly #options: SharedOptions;
  /** Set while the relay has a ticket and no visitor for it yet. */
  #starting: Deferred<Socket> | undefined = waiting();
  #onClosed: (() => void) | undefined;

  constructor(socket: Socket, options: SharedOptions) {
    this.#options = options;
    const limits = { maxFramedBytes: LIMITS.maxFramedBytes, lingerMs: LIMITS.carrierLingerMs };
    this.#connection = new ReusableConnection(socket, limits, this);
  }

  get tag(): string {
    return this.#options.tag;
  }

  /** Sets what to call when the connection can serve no other visitor. */
  set onClosed(onClosed: () => void) {
    this.#onClosed = onClosed;
  }

  /** Shows the ticket of the next visitor. */
  show(ticket: string): void {
    this.#starting = waiting();
    this.#connection.show(shownText(ticket, this.#options.channel));
  }

  async started(signal: AbortSignal): Promise<Socket> {
    const abort = (): void => this.destroy();
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await this.#starting!.promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  destroy(): void {
    this.#connection.destroy();
  }

  control(type: 'start' | 'startRaw' | 'ticket'): void {
    const starting = this.#starting;
    if (type === 'ticket' || !starting) return this.destroy();
    this.#starting = undefined;
    const connection = this.#connection;
    starting.resolve(type === 'start' ? connection.begin().pause() : connection.release());
  }

  free(): void {
    if (!this.#options.onFree(this)) this.#connection.close();
  }

  closed(): void {
    this.#starting?.reject(
      new PortalError('relay_unreachable', 'the relay closed a data connection without a visitor'),
    );
    this.#onClosed?.();
  }
}

function waiting(): Deferred<Socket> {
  const starting = deferred<Socket>();
  starting.promise.catch(() => undefined);
  return starting;
}
