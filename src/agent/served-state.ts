import type { LeaseStatus } from './status.js';

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
export function hasSeveralTargets(routes: LeaseStatus['routes']): boolean {
  return new Set(Object.values(routes ?? {})).size > 1;
}
