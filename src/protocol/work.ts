import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PortalError } from '../lib/errors.js';

/**
 * Proof of work that a relay requests from a client before it creates and verifies signatures, while many handshakes
 * prove nothing. A handshake then costs the client more than the relay, which computes one hash. The relay's response
 * to the upgrade contains the request.
 */

export const WORK_HEADER = 'portal-work';

export interface Work {
  /** Number of leading zero bits of the SHA-256 of salt, space and solution. */
  readonly bits: number;
  readonly salt: string;
}

/** The most work that an agent does for a relay: about two seconds. */
const MAX_BITS = 20;
const HEADER = /^(\d{1,2}) ([0-9a-f]{32})$/;
/** Hashes per step: a few milliseconds, then other work runs. */
const AT_A_TIME = 1_024;

export function formatWork({ bits, salt }: Work): string {
  return `${bits} ${salt}`;
}

/** The work in the header; undefined without one. Throws `protocol`. */
export function readWork(header: string | string[] | undefined): Work | undefined {
  if (header === undefined) return undefined;
  const [, bits, salt] = HEADER.exec(String(header)) ?? [];
  if (bits === undefined || salt === undefined || Number(bits) > MAX_BITS)
    throw new PortalError(
      'protocol',
      `the relay requests a proof of work that is malformed, or has more than ${MAX_BITS} bits`,
    );
  return { bits: Number(bits), salt };
}

export function isDone({ bits, salt }: Work, solution: string): boolean {
  const first = createHash('sha256').update(`${salt} ${solution}`).digest().readUInt32BE(0);
  return bits === 0 || first >>> (32 - bits) === 0;
}

/** Finds a solution. */
export async function solveWork(work: Work, signal: AbortSignal): Promise<string> {
  for (let tried = 0; ; tried++) {
    const solution = tried.toString(36);
    if (isDone(work, solution)) return solution;
    if (tried % AT_A_TIME !== AT_A_TIME - 1) continue;
    await nextTurn();
    signal.throwIfAborted();
  }
}
