import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { socketBelow } from '../../net/splice/reset.js';
import { NetworkTable } from '../../net/network-table.js';

export interface RequestConnectionsOptions {
  readonly maxRequestConnections: number;
  /** Called when a connection was closed to make room for a newer one. */
  readonly onCrowded: () => void;
}

/**
 * Owns the connections in a TLS handshake or HTTP exchange, and control channels before `hello`. Limited, since a TLS session needs
 * much memory.
 */
export class RequestConnections {
  readonly #options: RequestConnectionsOptions;
  readonly #connections = new NetworkTable<Duplex>();

  constructor(options: RequestConnectionsOptions) {
    this.#options = options;
  }

  /** Counts a TCP connection until it ends or is `served`. Beyond the limit, closes another one. */
  add(connection: Socket, network: string): void {
    const { maxRequestConnections, onCrowded } = this.#options;
    this.#connections.add(connection, network);
    if (this.#connections.size > maxRequestConnections && this.closeCrowded()) onCrowded();
    connection.once('close', () => this.#connections.delete(connection));
  }

  /** Call when a connection, given as its TCP or TLS socket, is no longer one: it was upgraded, or is a session. */
  served(socket: Duplex): void {
    this.#connections.delete(socketBelow(socket as Socket) ?? socket);
  }

  /** Closes the oldest connection of the network with the most; false without any. */
  closeCrowded(): boolean {
    const crowded = this.#connections.crowded();
    if (!crowded) return false;
    this.#connections.delete(crowded);
    crowded.destroy();
    return true;
  }

  close(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}
