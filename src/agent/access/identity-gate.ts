import type { Identity } from '../../identity/identity.js';
import type { Page } from '../pages/page.js';
import { notIdentified } from './gate-pages.js';
import type { AccessSpec, ServiceSpec } from '../spec.js';
import type { Gate, GateOptions, Visitor } from './gate.js';

/** Admits only visitors that have proven one of the listed identities, or that of the owner (`greeter.ts`). */
export class IdentityGate implements Gate {
  readonly #owner: Identity;
  #listed: AccessSpec['identities'];

  constructor({ spec, identity }: GateOptions) {
    this.#owner = identity;
    this.#listed = spec.access.identities;
  }

  admits({ identity }: Visitor): boolean {
    if (!this.#listed) return true;
    return identity !== undefined && (identity === this.#owner.address || this.#listed.includes(identity));
  }

  page(): Page {
    return notIdentified;
  }

  /** Visitors that may stay need not connect again. */
  update({ access: { identities } }: ServiceSpec): boolean {
    this.#listed = identities;
    return false;
  }
}
