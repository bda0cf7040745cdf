import type { ErrorCode, PortalError } from '../../lib/errors.js';
import { LIMITS } from '../../protocol/limits.js';

/** When to retry a lease that failed. */

/** A retry changes nothing until a person acts. Retried only rarely. */
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

/** A longer pause would overflow a timer, and end at once. */
const MAX_PAUSE_MS = 24 * 60 * 60 * 1_000;

/** Retry interval of errors that only a person can fix. */
export const FINAL_RETRY_MS = 60_000;

/**
 * When to reconnect to a relay that requested a pause: after the pause, up to twice as late. So agents with the same
 * pause spread out.
 */
export function withJitter(askedMs: number): number {
  return Math.min(Math.max(askedMs, RETRY.minTimeout), LIMITS.maxComeBackMs) * (1 + Math.random());
}

/** When to request a lease again after an error that names a pause: no sooner, and up to twice as late or ten seconds later. */
export function spread(askedMs: number): number {
  const pauseMs = Math.min(Math.max(askedMs, RETRY.minTimeout), MAX_PAUSE_MS);
  return pauseMs + Math.random() * Math.min(pauseMs, RETRY.maxTimeout);
}

/** Whether a quick retry is pointless. */
export function isFinal(error: PortalError): boolean {
  return FINAL.has(error.code) && error.retryAfterMs === undefined;
}
