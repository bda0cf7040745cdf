import type { LeaseStatus, RelayStatus } from '../agent/status.js';

/** The state of a service that its relay publishes, for people. */
export type ServedState = 'ready' | 'unverified' | 'unhealthy' | 'degraded' | 'target down';

/**
 * What visitors of a `ready` lease get. `unverified`: no visit of the agent succeeded recently. `degraded`: some routes are
 * down.
 */
export function servedState({ unproven, targetError, healthError, routes }: LeaseStatus): ServedState {
  if (targetError !== undefined) return hasSeveralTargets(routes) ? 'degraded' : 'target down';
  if (unproven) return 'unverified';
  return healthError === undefined ? 'ready' : 'unhealthy';
}

/** One target that is down says nothing about the others. */
function hasSeveralTargets(routes: LeaseStatus['routes']): boolean {
  return new Set(Object.values(routes ?? {})).size > 1;
}

/** The lease without an error that its relay has as well: that one is shown once, with the relay. */
export function withoutRelayError(lease: LeaseStatus, relays: readonly RelayStatus[]): LeaseStatus {
  const at = relays.find(({ relay }) => relay === lease.relay);
  if (!at?.error || at.error.message !== lease.error?.message) return lease;
  const { error: _, nextInMs: __, ...rest } = lease;
  return rest;
}
