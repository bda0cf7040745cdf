import { keccak_256 as keccak256 } from '@noble/hashes/sha3.js';
import type { Identity } from './identity.js';
import { identityFromPrivateKey } from './keys.js';

/**
 * Another identity, the same each time for the same `purpose`, that nobody can bring together with `identity` who
 * does not have its key. It rests on signatures being deterministic (RFC 6979), and on this text being signed for
 * nothing else: challenges are EIP-4361, relays' proofs and descriptors begin otherwise.
 */
export function derivedIdentity(identity: Identity, purpose: string): Identity {
  const signature = identity.sign(`Portal derived identity\n\nPurpose: ${purpose}`);
  const key = keccak256(new Uint8Array(Buffer.from(signature)));
  return identityFromPrivateKey(`0x${Buffer.from(key).toString('hex')}`);
}
