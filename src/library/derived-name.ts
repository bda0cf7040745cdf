import { createHash } from 'node:crypto';
import { loadIdentity } from '../identity/file.js';
import { identityCreated, type Notice } from '../reconcile/notices.js';
import type { Surroundings } from './surroundings.js';

const ADJECTIVES = ['bold', 'brave', 'brisk', 'calm', 'clear', 'cool', 'crisp', 'early', 'fair', 'fond', 'free', 'fresh', 'glad', 'gold', 'good', 'grand', 'green', 'happy', 'keen', 'kind', 'late', 'light', 'lucky', 'mild', 'neat', 'noble', 'plain', 'proud', 'quick', 'quiet', 'swift', 'warm'] as const; // prettier-ignore
const NOUNS = ['bay', 'bear', 'birch', 'brook', 'cape', 'cedar', 'cloud', 'coast', 'crane', 'dune', 'elm', 'fern', 'field', 'finch', 'fox', 'gate', 'grove', 'harbor', 'hawk', 'hill', 'lake', 'lark', 'maple', 'moon', 'oak', 'otter', 'pine', 'reef', 'river', 'sail', 'star', 'wren'] as const; // prettier-ignore
/** No letters that look like digits, and no vowels, which could form words. */
const ALPHABET = '23456789bcdfghjkmnpqrstvwxz';
const SUFFIX_LENGTH = 4;

/** Derives a DNS label such as `calm-otter-4k2x` from `bytes`. There are half a billion labels. */
export function derivedName(bytes: Uint8Array): string {
  const [adjective = 0, noun = 0, ...rest] = bytes;
  const suffix = rest.slice(0, SUFFIX_LENGTH).map((byte) => ALPHABET[byte % ALPHABET.length]);
  return `${ADJECTIVES[adjective % ADJECTIVES.length]}-${NOUNS[noun % NOUNS.length]}-${suffix.join('')}`;
}

/**
 * The name of a service that has no name: the same for the same identity and text, which describes its target. Creates a missing
 * identity.
 */
export async function ownName(
  { paths: { identityFile } }: Pick<Surroundings, 'paths'>,
  text: string,
): Promise<{ readonly label: string; readonly made: readonly Notice[] }> {
  const made: Notice[] = [];
  const { address } = await loadIdentity(identityFile, {
    create: true,
    onCreated: (identity) => made.push(identityCreated(identityFile, identity.address)),
  });
  return { label: derivedName(createHash('sha256').update(`${address} ${text}`).digest()), made };
}
