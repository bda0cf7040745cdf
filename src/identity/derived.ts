import type { Identity } from './identity.js';
import { identityFromPrivateKey } from './keys.js';

/**
 * Another identity, the same each time for the same `purpose`, that nobody can bring together with `identity` who
 * does not have its key.
 */
export function derivedIdentity(identity: Identity, purpose: string): Identity {
  return identityFromPrivateKey(`0x${identity.derive(`identity ${purpose}`).toString('hex')}`);
}
