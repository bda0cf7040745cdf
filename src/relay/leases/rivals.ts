import { PortalError } from '../../lib/errors.js';
import type { LeaseHolder, LocalLease, OwnHolder } from './lease.js';

/** How long the current holder of a name may take to respond to a ping when another agent of its identity requests the name. */
const PING_MS = 1_000;
const RETRY_MS = 5_000;

/**
 * Other sessions of the same identity may hold the name that `holder` requests: other machines, or a past connection of
 * this agent that has not timed out yet. Pings these sessions. Only a session that responds keeps the name: then throws
 * `name_taken`. `find` returns the leases of the name that `holder` cannot share.
 */
export async function settleRivals(holder: OwnHolder, find: () => readonly LocalLease[]): Promise<void> {
  const asked = new Set<LeaseHolder>();
  for (;;) {
    // A third session may have taken a lease during a ping.
    const lease = find().find((one) => isRival(one, holder) && !asked.has(one.holder!));
    const rival = lease?.holder;
    if (!lease || !rival) return;
    asked.add(rival);
    if (!(await rival.alive(PING_MS))) continue;
    if (lease.holder !== rival || !find().includes(lease)) continue;
    throw taken(lease);
  }
}

function isRival({ record, holder: rival }: LocalLease, holder: OwnHolder): boolean {
  if (!rival || rival === holder || record.owner !== holder.address) return false;
  return record.instance !== holder.instance;
}

function taken({ record: { hostname, replica } }: LocalLease): PortalError {
  const message = replica
    ? `agents with your identity serve ${hostname} as replicas; set \`replicas\` here too, stop them, or choose another name`
    : `another agent with your identity serves ${hostname}; stop it, set \`replicas\` for both, or choose another name`;
  return new PortalError('name_taken', message, { retryAfterMs: RETRY_MS });
}
