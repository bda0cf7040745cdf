import { isDeepStrictEqual } from 'node:util';
import { AddressSet } from '../../net/cidr.js';
import type { Page } from '../pages/page.js';
import { notAllowed } from './gate-pages.js';
import type { AccessSpec, ServiceSpec } from '../spec.js';
import type { Gate, GateOptions, Visitor } from './gate.js';

/** Checks the address that the relay saw, never one from a header. */
export class AddressGate implements Gate {
  #ranges: AccessSpec['allowIps'];
  #allowed: AddressSet | undefined;

  constructor({ spec }: GateOptions) {
    this.#set(spec.access.allowIps);
  }

  admits({ address }: Visitor): boolean {
    return this.#allowed?.has(address) ?? true;
  }

  page({ address }: Visitor): Page {
    return notAllowed(address);
  }

  /** Visitors that may stay need not connect again. */
  update({ access: { allowIps } }: ServiceSpec): boolean {
    if (!isDeepStrictEqual(allowIps, this.#ranges)) this.#set(allowIps);
    return false;
  }

  #set(ranges: AccessSpec['allowIps']): void {
    this.#ranges = ranges;
    this.#allowed = ranges && new AddressSet(ranges);
  }
}
