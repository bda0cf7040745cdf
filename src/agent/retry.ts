import type { ErrorCode, PortalError } from '../lib/errors.js';
import { LIMITS } from '../protocol/limits.js';

/** When a lease that failed is tried again. */

/** Trying again changes nothing until someone acts: a person, here or elsewhere. Looked at again only now and then. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'name_taken',
  'name_reserved',
  'name_invalid',
  'capability_missing',
  'peer_unknown',
  'hop_loop',
  'too_many_hops',
  'limit_exceeded',
  'certificate_unavailable',
  'intercepted',
  'version',
  'unauthorized',
  'disconnected',
  'relay_untrusted',
  'relay_key_changed',
  'relay_not_locked',
  'lock_invalid',
  'address_in_use',
  'listen_failed',
  'proxy_invalid',
  'proxy_credentials',
]);

/** Pauses between attempts, in milliseconds (p-retry). */
export const RETRY = { minTimeout: 250, maxTimeout: 10_000, factor: 2, randomize: true } as const;

/** What only a person can mend is looked at again this often. */
export const FINAL_RETRY_MS = 60_000;

/**
 * When to come back to a relay that said when: no sooner, and up to twice as late, so that all those who heard the
 * same do not come in the same moment.
 */
export function comeBackMs(askedMs: number): number {
  return Math.min(Math.max(askedMs, RETRY.minTimeout), LIMITS.maxComeBackMs) * (1 + Math.random());
}

/** Whether trying again soon is of no use. */
export function isFinal(error: PortalError): boolean {
  return FINAL.has(error.code) && error.retryAfterMs === undefined;
}
