import { listOf } from '../../config/suggest.js';
import type { LeaseStatus, RelayStatus } from '../../agent/status.js';

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

/** Why targets are unreachable. If a service has several targets, each error names its routes. */
export function targetProblems({ targetError, targetErrors = {}, routes = {} }: LeaseStatus): string[] {
  if (targetError === undefined) return [];
  if (!hasSeveralTargets(routes)) return [targetError];
  const named = Object.entries(targetErrors).map(([target, error]) => {
    const prefixes = Object.keys(routes).filter((prefix) => routes[prefix] === target);
    return `${prefixes.length === 1 ? 'route' : 'routes'} ${listOf(prefixes, 'and')}: ${error}`;
  });
  // An agent of an earlier version reports one error only.
  return named.length > 0 ? named : [targetError];
}

/** The lease without an error that its relay has as well: that one is shown once, with the relay. */
export function withoutRelayError(lease: LeaseStatus, relays: readonly RelayStatus[]): LeaseStatus {
  const at = relays.find(({ relay }) => relay === lease.relay);
  if (!at?.error || at.error.message !== lease.error?.message) return lease;
  const { error: _, nextInMs: __, ...rest } = lease;
  return rest;
}
