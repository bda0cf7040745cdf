import { keccak_256 as keccak256 } from '@noble/hashes/sha3.js';

/** Addresses of identities, written as in Ethereum: 20 bytes in hex, with a checksum in the capitals (EIP-55). */

const ADDRESS = /^0x[0-9a-f]{40}$/i;

export const isAddress = (text: string): boolean => ADDRESS.test(text);

/** The checksummed form of a valid address, for comparisons. */
export function checksummed(address: string): string {
  const digits = address.slice(2).toLowerCase();
  const hash = Buffer.from(keccak256(Buffer.from(digits, 'ascii'))).toString('hex');
  return `0x${digits.replaceAll(/[a-f]/g, (digit, i: number) => (hash[i]! >= '8' ? digit.toUpperCase() : digit))}`;
}

/** Whether the address has mixed case that does not match its checksum. */
export function isMistyped(address: string): boolean {
  const digits = address.slice(2);
  const isMixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
  return isMixed && digits !== checksummed(address).slice(2);
}
