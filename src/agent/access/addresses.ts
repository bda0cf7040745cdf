import { isDeepStrictEqual } from 'node:util';
import type { Socket } from 'node:net';
import { AddressSet } from '../../net/cidr.js';
import type { AccessSpec } from '../spec.js';

/**
 * The gate that asks where a visitor comes from: the address the relay saw, never one from a header. Owns who is
 * inside, so that a connection which loses its right is closed.
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

  /** Whether the visitor may come in; from then on it is closed when its address loses its right. */
  enter(socket: Socket, address: string): boolean {
    if (!this.allows(address)) return false;
    this.#inside.set(socket, address);
    socket.once('close', () => this.#inside.delete(socket));
    return true;
  }

  /** Resolves with whether anything is different now; those who lost their right are cut off. */
  update({ allowIps }: AccessSpec): boolean {
    if (isDeepStrictEqual(allowIps, this.#ranges)) return false;
    this.#set(allowIps);
    for (const [socket, address] of this.#inside) if (!this.allows(address)) socket.destroy();
    return true;
  }

  /** Cuts everybody off. */
  expel(): void {
    for (const socket of this.#inside.keys()) socket.destroy();
  }

  #set(ranges: AccessSpec['allowIps']): void {
    this.#ranges = ranges;
    this.#allowed = ranges && new AddressSet(ranges);
  }
}

/** Whether `after` lets somebody in whom `before` kept out. */
export function letsInMore(before: AccessSpec, after: AccessSpec): boolean {
  if (before.pin !== undefined && after.pin === undefined) return true;
  if (!before.allowIps) return false;
  return !after.allowIps || !new AddressSet(before.allowIps).covers(new AddressSet(after.allowIps));
}
