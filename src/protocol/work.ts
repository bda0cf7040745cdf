import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PortalError } from '../lib/errors.js';

/**
 * Work that a relay asks of a client before it makes and checks signatures for it, while many handshakes prove nothing: a
 * handshake then costs a client more than the relay, which looks at one hash. The relay asks for it in the answer to the upgrade.
 */

export const WORK_HEADER = 'portal-work';

export interface Work {
  /** So many zero bits begin the SHA-256 of the salt, a space and the answer. */
  readonly bits: number;
  readonly salt: string;
}

/** An agent does no more for a relay than this: about two seconds. */
const MAX_BITS = 20;
const HEADER = /^(\d{1,2}) ([0-9a-f]{32})$/;
/** So many hashes take a few milliseconds, after which others get their turn. */
const AT_A_TIME = 1_024;

export function formatWork({ bits, salt }: Work): string {
  return `${bits} ${salt}`;
}

/** What the header asks for; undefined without one. Throws `protocol`. */
export function readWork(header: string | string[] | undefined): Work | undefined {
  if (header === undefined) return undefined;
  const [, bits, salt] = HEADER.exec(String(header)) ?? [];
  if (bits === undefined || salt === undefined || Number(bits) > MAX_BITS)
    throw new PortalError(
      'protocol',
      `the relay asks for work that is malformed, or more than ${MAX_BITS} bits`,
    );
  return { bits: Number(bits), salt };
}

export function isDone({ bits, salt }: Work, answer: string): boolean {
  const first = createHash('sha256').update(`${salt} ${answer}`).digest().readUInt32BE(0);
  return bits === 0 || first >>> (32 - bits) === 0;
}

/** Finds an answer. */
export async function doWork(work: Work, signal: AbortSignal): Promise<string> {
  for (let tried = 0; ; tried++) {
    const answer = tried.toString(36);
    if (isDone(work, answer)) return answer;
    if (tried % AT_A_TIME !== AT_A_TIME - 1) continue;
    await nextTurn();
    signal.throwIfAborted();
  }
}
