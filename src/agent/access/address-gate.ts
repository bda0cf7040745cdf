import { isDeepStrictEqual } from 'node:util';
import { AddressSet } from '../../net/cidr.js';
import { notAllowed, type Page } from '../pages.js';
import type { AccessSpec, ServiceSpec } from '../spec.js';
import type { Gate, GateKind } from './gate.js';

/** Limit of the addresses that `describe` names. */
const MAX_DESCRIBED = 3;

/** The gate for client addresses: the address that the relay saw, never one from a header. */
export const ADDRESS_GATE: GateKind = {
  key: 'allowIps',
  reason: 'ip',
  readsHttp: false,
  strips: [],
  paths: [],
  widens({ allowIps: before }, { allowIps: after }) {
    if (!before) return false;
    return !after || !new AddressSet(before).covers(new AddressSet(after));
  },
  describe({ allowIps = [] }) {
    if (allowIps.length === 0) return undefined;
    const rest = allowIps.length - MAX_DESCRIBED;
    return `only from ${allowIps.slice(0, MAX_DESCRIBED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  },
  open: ({ spec }) => new AddressGate(spec.access),
};

class AddressGate implements Gate {
  #ranges: AccessSpec['allowIps'];
  #allowed: AddressSet | undefined;

  constructor({ allowIps }: AccessSpec) {
    this.#set(allowIps);
  }

  admits(address: string): boolean {
    return this.#allowed?.has(address) ?? true;
  }

  page(address: string): Page {
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
