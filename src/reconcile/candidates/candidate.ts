import type { SignedDescriptor } from '../../agent/session/directory.js';
import type { UrlRelay } from '../../agent/spec.js';
import { sameAddress } from '../../config/files/lock-file.js';
import { PortalError } from '../../lib/errors.js';

/** A relay that the pool may use in addition to the relays in the file. Times are monotonic milliseconds. */
export interface Candidate {
  readonly relay: UrlRelay;
  readonly source: 'registry' | 'discovered';
  /** Its latest descriptor. */
  descriptor?: SignedDescriptor;
  /** Smoothed round-trip time. */
  rttMs?: number;
  /** When it became healthy. Undefined while it is down or unknown. */
  healthyAt?: number;
  /** When it went down. */
  downAt?: number;
  error?: PortalError;
  /** When the last list dropped it. A relay in use stays until another one replaces it. */
  unlistedAt?: number;
  /**
   * Failures since it was last healthy for a long time. Each one lengthens the wait until it counts as stable again.
   */
  strikes: number;
  /** When to probe it next. */
  nextProbeAt: number;
}

export function newCandidate(relay: UrlRelay, source: Candidate['source']): Candidate {
  return { relay, source, strikes: 0, nextProbeAt: 0 };
}

/**
 * After a failure, a candidate counts as stable once it has responded for this long. The time doubles with each
 * further failure.
 */
const STABLE_MS = 30_000;
const MAX_STABLE_MS = 3_600_000;

export type Health = 'stable' | 'unstable' | 'down';

export function healthOf({ healthyAt, strikes }: Candidate, now: number): Health {
  if (healthyAt === undefined) return 'down';
  return now - healthyAt >= stableAfterMs(strikes) ? 'stable' : 'unstable';
}

/** Records a successful probe. */
export function markHealthy(candidate: Candidate, now: number): void {
  candidate.healthyAt ??= now;
  delete candidate.downAt;
  delete candidate.error;
  // A long healthy time clears the failures.
  if (candidate.strikes > 0 && now - candidate.healthyAt > 10 * stableAfterMs(candidate.strikes))
    candidate.strikes = 0;
}

/** Records a failure. Only the first one after a healthy time counts as a strike. */
export function markDown(candidate: Candidate, error: PortalError, now: number): void {
  if (candidate.healthyAt !== undefined) candidate.strikes += 1;
  delete candidate.healthyAt;
  candidate.downAt ??= now;
  candidate.error = error;
}

function stableAfterMs(strikes: number): number {
  return strikes === 0 ? 0 : Math.min(MAX_STABLE_MS, STABLE_MS * 2 ** (strikes - 1));
}

/** Requires that a relay has the key that its list gives. */
export function expectKey({ url, address }: UrlRelay, proven: string): void {
  if (address === undefined || sameAddress(address, proven)) return;
  throw new PortalError('relay_key_changed', `${url} has the key ${proven}, but its list gives ${address}`, {
    hint: 'The list is out of date, or another server is at this URL. Ask the owner of the list.',
  });
}
