import { isDeepStrictEqual } from 'node:util';
import type { Socket } from 'node:net';
import { AddressSet } from '../../net/cidr.js';
import { resetSocket } from '../../net/reset.js';
import type { AccessSpec } from '../spec.js';

/**
 * The gate for client addresses: the address that the relay saw, never one from a header. It tracks admitted visitors, so
 * that a connection whose address is no longer allowed can be closed.
 */
export class AddressGate {
  #ranges: AccessSpec['allowIps'];
  #allowed: AddressSet | undefined;
  readonly #inside = new Map<Socket, string>();

  constructor({ allowIps }: AccessSpec) {
    this.#set(allowIps);
  }

  allows(address: string): boolean {
    return this.#allowed?.has(address) ?? true;
  }

  /** Whether the visitor is admitted. An admitted connection closes when its address is no longer allowed. */
  enter(socket: Socket, address: string): boolean {
    if (!this.allows(address)) return false;
    this.#inside.set(socket, address);
    socket.once('close', () => this.#inside.delete(socket));
    return true;
  }

  /** Returns whether the ranges changed. Closes connections that are no longer allowed. */
  update({ allowIps }: AccessSpec): boolean {
    if (isDeepStrictEqual(allowIps, this.#ranges)) return false;
    this.#set(allowIps);
    for (const [socket, address] of this.#inside) if (!this.allows(address)) resetSocket(socket);
    return true;
  }

  /** Closes all connections. */
  closeAll(): void {
    for (const socket of this.#inside.keys()) resetSocket(socket);
  }

  #set(ranges: AccessSpec['allowIps']): void {
    this.#ranges = ranges;
    this.#allowed = ranges && new AddressSet(ranges);
  }
}

/** Whether `after` admits visitors that `before` rejected. */
export function admitsMore(before: AccessSpec, after: AccessSpec): boolean {
  if (before.pin !== undefined && after.pin === undefined) return true;
  if (!before.allowIps) return false;
  return !after.allowIps || !new AddressSet(before.allowIps).covers(new AddressSet(after.allowIps));
}
