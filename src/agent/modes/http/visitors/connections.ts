import type { Socket } from 'node:net';
import { WhenEmpty } from '../../../../lib/when-empty.js';
import { STALLED_MS } from '../../../../net/splice/retirement.js';
import type { Drain } from '../../../../net/splice/splice.js';
import type { Traffic } from '../../mode.js';
import { closeIdle, type Connection } from './close-idle.js';
import { cut } from './cut.js';
import type { Client } from '../exchange/exchange.js';

/** Owns the connections of a handler's visitors: counts their bytes, and ends them when the handler drains. */
export class VisitorConnections {
  readonly #open = new Map<Socket, Connection>();
  /** Drains that wait for the last connection. A later drain may be shorter. */
  readonly #whenEmpty = new WhenEmpty();
  /** Of closed connections. */
  #bytesIn = 0;
  #bytesOut = 0;
  #isDraining = false;

  get size(): number {
    return this.#open.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Keeps a connection until its socket closes. */
  add(socket: Socket, connection: Connection): void {
    this.#open.set(socket, connection);
    socket.once('close', () => this.#closed(socket));
  }

  clientOf(socket: Socket): Client | undefined {
    return this.#open.get(socket)?.client;
  }

  traffic(): Pick<Traffic, 'visitors' | 'bytesIn' | 'bytesOut'> {
    let bytesIn = this.#bytesIn;
    let bytesOut = this.#bytesOut;
    for (const socket of this.#open.keys()) {
      bytesIn += socket.bytesRead;
      bytesOut += socket.bytesWritten;
    }
    return { visitors: this.#open.size, bytesIn, bytesOut };
  }

  /** Accepts no more requests of HTTP/2, and waits for the last connection to close, within the limits of `drain`. */
  async drain({ ms, quietMs, retires, onCut }: Drain): Promise<void> {
    this.#isDraining = true;
    for (const { session } of this.#open.values()) session?.close();
    if (this.#open.size === 0 || (ms <= 0 && !retires)) return;
    const stopChecking = closeIdle(
      this.#open,
      retires
        ? { quietMs: STALLED_MS, onCut }
        : { quietMs: quietMs ?? Infinity, onCut, keepsExchanges: true },
    );
    // Retiring connections that still move have no limit.
    await this.#whenEmpty.wait(retires ? undefined : ms);
    stopChecking();
    // The SpliceSet counts switched connections.
    const cutOff = [...this.#open.values()].filter(({ client }) => !client.isSwitched).length;
    if (cutOff > 0) onCut?.(cutOff);
  }

  /** Closes the rest. */
  cut(): void {
    for (const socket of this.#open.keys()) cut(socket);
    // An earlier drain must not wait for sockets that close slowly.
    this.#whenEmpty.emptied();
  }

  #closed(socket: Socket): void {
    this.#open.delete(socket);
    this.#bytesIn += socket.bytesRead;
    this.#bytesOut += socket.bytesWritten;
    if (this.#open.size === 0) this.#whenEmpty.emptied();
  }
}
