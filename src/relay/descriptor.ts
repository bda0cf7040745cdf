import type { Identity } from '../identity/identity.js';
import { signDescriptor, type RelayDescriptor, type SignedDescriptor } from '../protocol/descriptor.js';
import { PROTOCOL_VERSION } from '../protocol/limits.js';

const VALID_MS = 24 * 3_600_000;

/** This relay's descriptor, good for a day from `now`. */
export function describeRelay(
  identity: Identity,
  facts: Pick<RelayDescriptor, 'url' | 'capabilities' | 'carriers' | 'limits'>,
  now: Date,
): SignedDescriptor {
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
