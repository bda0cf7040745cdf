import type { Identity } from '../identity/identity.js';
import { PROTOCOL_VERSION } from '../protocol/limits.js';

/** What a relay says of itself at `GET /v1/relay`, signed with its own key so that it can be passed on. */
export interface RelayDescriptor {
  readonly address: string;
  readonly url: string;
  readonly protocols: readonly number[];
  readonly capabilities: readonly string[];
  readonly carriers: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

const VALID_MS = 24 * 3_600_000;

/**
 * The descriptor with an EIP-191 signature over its JSON text, keys in the order of the interface. A reader
 * checks the signature over `JSON.stringify` of what it got without `signature`.
 */
export function signDescriptor(
  identity: Identity,
  facts: Pick<RelayDescriptor, 'url' | 'capabilities' | 'carriers' | 'limits'>,
  now: Date,
): RelayDescriptor & { signature: string } {
  const descriptor: RelayDescriptor = {
    address: identity.address,
    url: facts.url,
    protocols: [PROTOCOL_VERSION],
    capabilities: facts.capabilities,
    carriers: facts.carriers,
    limits: facts.limits,
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + VALID_MS).toISOString(),
  };
  return { ...descriptor, signature: identity.sign(JSON.stringify(descriptor)) };
}
