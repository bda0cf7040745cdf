import { listOf } from '../../config/suggest.js';
import type { LeaseStatus, RelayStatus } from '../../agent/status.js';

/** The state of a service that its relay publishes, for people. */
export type ServedState = 'ready' | 'unverified' | 'unhealthy' | 'degraded' | 'starting' | 'target down';

/**
 * What visitors of a `ready` lease get. `unverified`: no visit of the agent succeeded recently. `degraded`: some routes are
 * down. `starting`: the commands of all targets that do not respond start.
 */
export function servedState(lease: LeaseStatus): ServedState {
  const { unproven, targetError, healthError, routes } = lease;
  if (isStarting(lease)) return 'starting';
  if (targetError !== undefined) return hasSeveralTargets(routes) ? 'degraded' : 'target down';
  if (unproven) return 'unverified';
  return healthError === undefined ? 'ready' : 'unhealthy';
}

/** Whether every target that does not respond yet has a command that starts. */
export function isStarting({ starting, targetErrors = {} }: LeaseStatus): boolean {
  return starting !== undefined && Object.keys(targetErrors).every((each) => starting.targets.includes(each));
}

/** One target that is down says nothing about the others. */
function hasSeveralTargets(routes: LeaseStatus['routes']): boolean {
  return new Set(Object.values(routes ?? {})).size > 1;
}

/** Why targets are unreachable. If a service has several targets, each error names its routes. */
export function targetProblems(lease: LeaseStatus): string[] {
  const { targetError, starting, targetErrors = {}, routes = {} } = lease;
  if (targetError === undefined) return [];
  const { waitsFor = [] } = starting ?? {};
  const start = waitsFor.length > 0 ? `waiting for ${listOf(waitsFor, 'and')}` : 'its command starts';
  if (isStarting(lease)) return [start];
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
