import type { Socket } from 'node:net';
import { lowestOf } from './splice/reset.js';

/** The client at the other end of a connection: its normalised address, and its port. Both are undefined once the connection has closed. */
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
  const { remoteAddress, remotePort } = socket;
  const { address, port } = named.get(lowestOf(socket)) ?? { address: remoteAddress, port: remotePort };
  return { address: address && plainAddress(address), port };
}

/** A normalised IP address: IPv4-mapped IPv6 (RFC 4291 §2.5.5.2) as plain IPv4, without a zone. */
export function plainAddress(address: string | undefined): string {
  if (!address) return '';
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  return plain.split('%')[0]!;
}
