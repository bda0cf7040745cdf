import type { Socket } from 'node:net';
import { ReusableConnection, type ReusableOwner } from '../../net/reuse/reusable-connection.js';
import { LIMITS, START_BYTE } from '../../protocol/limits.js';
import type { KeptConnections } from './kept-connections.js';
import { whenRedeemed, type Redeeming } from '../tickets/redeemed.js';

/** A data connection with a redeemed ticket, until its visitor comes. */
export interface DataConnection {
  readonly isClosed: boolean;
  /** Whether it has served another visitor before. */
  readonly isReused: boolean;
  /** Makes it belong to a session, which `kept` is of. Returns false if it belongs to another one. */
  belongTo(kept: KeptConnections): boolean;
  /**
   * Calls `onLost` if the agent disconnects or sends something: it sends nothing before the visitor comes. Returns a function
   * that ends this.
   */
  watch(onLost: () => void): () => void;
  /**
   * Starts it with the visitor's bytes so far. Returns the stream for the rest. `isLong`: the visit is probably too long for the
   * connection to serve another one.
   */
  start(said: readonly Buffer[], isLong: boolean): Socket;
  destroy(): void;
}

const START = Buffer.from([START_BYTE]);

/** A data connection for one visitor. */
export class SingleConnection implements DataConnection {
  readonly isReused = false;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  belongTo(): boolean {
    return true;
  }

  watch(onLost: () => void): () => void {
    const socket = this.#socket;
    socket.on('data', onLost).on('end', onLost).on('close', onLost);
    // The front paused the socket to read the ticket line.
    socket.resume();
    return () => {
      socket.off('data', onLost).off('end', onLost).off('close', onLost);
      socket.pause();
    };
  }

  start(said: readonly Buffer[]): Socket {
    this.#socket.write(Buffer.concat([START, ...said]));
    return this.#socket;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** A data connection that serves several visitors of a session, each with a ticket of its own. */
export class SharedConnection implements DataConnection, ReusableOwner {
  readonly #connection: ReusableConnection;
  readonly #redeem: (shown: string) => Redeeming;
  #kept: KeptConnections | undefined;
  /** Whether the agent may show a ticket now. */
  #isKept = false;
  #onLost: (() => void) | undefined;
  isReused = false;

  /** `redeem` redeems further tickets that the agent shows on `socket`. */
  constructor(socket: Socket, redeem: (shown: string) => Redeeming) {
    const limits = { maxFramedBytes: LIMITS.maxFramedBytes, lingerMs: LIMITS.carrierLingerMs };
    this.#redeem = redeem;
    this.#connection = new ReusableConnection(socket, limits, this);
  }

  get isClosed(): boolean {
    return this.#connection.isClosed;
  }

  belongTo(kept: KeptConnections): boolean {
    this.#kept ??= kept;
    return this.#kept === kept;
  }

  watch(onLost: () => void): () => void {
    this.#onLost = onLost;
    return () => (this.#onLost = undefined);
  }

  start(said: readonly Buffer[], isLong: boolean): Socket {
    return isLong ? this.#connection.startRaw(said) : this.#connection.start(said);
  }

  destroy(): void {
    this.#connection.destroy();
  }

  control(type: 'start' | 'startRaw' | 'ticket', payload: Buffer): void {
    if (type !== 'ticket' || !this.#isKept) return this.destroy();
    this.#isKept = false;
    this.#kept?.delete(this);
    this.isReused = true;
    whenRedeemed(this.#redeem(payload.toString('latin1')), (take) => {
      if (take) take(this);
      else this.destroy();
    });
  }

  free(): void {
    this.#isKept = this.#kept?.add(this) === true;
    if (!this.#isKept) this.#connection.close();
  }

  closed(): void {
    this.#kept?.delete(this);
    this.#onLost?.();
  }
}
