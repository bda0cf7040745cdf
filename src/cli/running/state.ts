import { listOf } from '../../config/words/suggest.js';
import { hasSeveralTargets, isStarting } from '../../agent/served-state.js';
import type { LeaseStatus, RelayStatus } from '../../agent/status.js';

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
