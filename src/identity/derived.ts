import type { Identity } from './identity.js';
import { identityFromPrivateKey } from './keys.js';

/** Another identity, always the same for the same `purpose`. Only the holder of `identity`'s key can link the two. */
export function derivedIdentity(identity: Identity, purpose: string): Identity {
  return identityFromPrivateKey(`0x${identity.derive(`identity ${purpose}`).toString('hex')}`);
}
