import type { LimitName, RelayLimits } from '../limits.js';

/** Limits that protect the machine. Each worker gets its part of them, so that they hold for the relay. */
const OF_MACHINE = [
  'maxUnroutedConnections',
  'maxUnroutedBytes',
  'maxRequestConnections',
  'maxSessions',
  'maxHandshakes',
  'maxHopConnections',
  'maxDomainLookups',
  'maxSignIns',
  'maxSignedIn',
] as const satisfies LimitName[];

/** The limits of each of `count` workers. */
export function dividedLimits(limits: RelayLimits, count: number): RelayLimits {
  const parts = OF_MACHINE.map((name) => [name, Math.ceil(limits[name] / count)] as const);
  return { ...limits, ...Object.fromEntries(parts) };
}
