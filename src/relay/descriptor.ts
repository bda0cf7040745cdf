import type { Identity } from '../identity/identity.js';
import { signDescriptor, type RelayDescriptor, type SignedDescriptor } from '../protocol/descriptor.js';
import { PROTOCOL_VERSION } from '../protocol/limits.js';

const VALID_MS = 24 * 3_600_000;
const SIGN_EVERY_MS = 3_600_000;

type Facts = Pick<RelayDescriptor, 'url' | 'capabilities' | 'carriers' | 'limits'>;

/** Owns this relay's descriptor. It is valid for a day and signed again every hour. */
export class OwnDescriptor {
  readonly #identity: Identity;
  readonly #facts: () => Facts;
  #signed: { readonly descriptor: SignedDescriptor; readonly at: number } | undefined;

  constructor(identity: Identity, facts: () => Facts) {
    this.#identity = identity;
    this.#facts = facts;
  }

  get current(): SignedDescriptor {
    // Signing costs more than the rest of the response, and any client may request it.
    if (!this.#signed || this.#signed.at < performance.now() - SIGN_EVERY_MS)
      this.#signed = {
        descriptor: describeRelay(this.#identity, this.#facts(), new Date()),
        at: performance.now(),
      };
    return this.#signed.descriptor;
  }
}

/** A relay's descriptor, valid for a day from `now`. */
export function describeRelay(identity: Identity, facts: Facts, now: Date): SignedDescriptor {
  return signDescriptor(identity, {
    url: facts.url,
    protocols: [PROTOCOL_VERSION],
    capabilities: facts.capabilities,
    carriers: facts.carriers,
    limits: facts.limits,
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + VALID_MS).toISOString(),
  });
}
