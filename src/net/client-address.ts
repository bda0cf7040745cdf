import type { Socket } from 'node:net';
import { lowestOf } from './reset.js';

/** The client at the other end of a connection. Both are undefined once the connection has closed. */
export interface Client {
  readonly address: string | undefined;
  readonly port: number | undefined;
}

/** Clients that a proxy named, by the connection of the proxy. */
const named = new WeakMap<Socket, Client>();

/** Call when a trusted proxy names the client of `socket`. */
export function setClient(socket: Socket, client: Client): void {
  named.set(socket, client);
}

/** The client of a connection, or of a TLS session over it: the one that a proxy named, else the other end. */
export function clientOf(socket: Socket): Client {
  return named.get(lowestOf(socket)) ?? { address: socket.remoteAddress, port: socket.remotePort };
}
