import type { SignedDescriptor } from '../../agent/directory.js';
import type { UrlRelay } from '../../agent/spec.js';
import { sameAddress } from '../../config/lock-file.js';
import { PortalError } from '../../lib/errors.js';

/** A relay that the pool may take besides those that the file names. Moments are of a clock that never jumps. */
export interface Candidate {
  readonly relay: UrlRelay;
  readonly source: 'registry' | 'discovered';
  /** Its descriptor, as it was last got. */
  descriptor?: SignedDescriptor;
  /** Round trip, smoothed. */
  rttMs?: number;
  /** Since when it answers without a failure; undefined while it does not, or nobody knows yet. */
  healthyAt?: number;
  /** Since when it does not. */
  downAt?: number;
  error?: PortalError;
  /** Since when no list names it any more: one in use goes once another has its place. */
  goneAt?: number;
  /** Failures since it was last sound for long: each makes it wait longer before it counts as sound again. */
  strikes: number;
  /** When to ask it next. */
  nextProbeAt: number;
}

export function newCandidate(relay: UrlRelay, source: Candidate['source']): Candidate {
  return { relay, source, strikes: 0, nextProbeAt: 0 };
}

/** After a failure, a candidate counts as sound once it has answered for this long; twice that after two of them… */
const SOUND_MS = 30_000;
const MAX_SOUND_MS = 3_600_000;

export type Health = 'sound' | 'shaky' | 'down';

export function healthOf({ healthyAt, strikes }: Candidate, now: number): Health {
  if (healthyAt === undefined) return 'down';
  return now - healthyAt >= soundAfterMs(strikes) ? 'sound' : 'shaky';
}

/** It answered. */
export function noteHealthy(candidate: Candidate, now: number): void {
  candidate.healthyAt ??= now;
  delete candidate.downAt;
  delete candidate.error;
  // What held for that long is forgiven.
  if (candidate.strikes > 0 && now - candidate.healthyAt > 10 * soundAfterMs(candidate.strikes))
    candidate.strikes = 0;
}

/** It failed: the first time after it was healthy is a strike. */
export function noteDown(candidate: Candidate, error: PortalError, now: number): void {
  if (candidate.healthyAt !== undefined) candidate.strikes += 1;
  delete candidate.healthyAt;
  candidate.downAt ??= now;
  candidate.error = error;
}

function soundAfterMs(strikes: number): number {
  return strikes === 0 ? 0 : Math.min(MAX_SOUND_MS, SOUND_MS * 2 ** (strikes - 1));
}

/** Holds a relay to the key that a list names for it. */
export function expectKey({ url, address }: UrlRelay, proven: string): void {
  if (address === undefined || sameAddress(address, proven)) return;
  throw new PortalError(
    'relay_key_changed',
    `${url} has the key ${proven}, and the list that names it says ${address}`,
    {
      hint: 'The list is out of date, or somebody answers in place of the relay. Ask whoever keeps the list.',
    },
  );
}
