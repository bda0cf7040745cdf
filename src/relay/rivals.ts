import { PortalError } from '../lib/errors.js';
import type { LeaseHolder, LocalLease, OwnHolder } from './lease.js';

/** How long the current holder of a name may take to respond to a ping when another agent of its identity requests the name. */
const PING_MS = 1_000;
const RETRY_MS = 5_000;

/**
 * Another session of the same identity may hold the name that `holder` requests: another machine, or a past connection of
 * this agent that has not timed out yet. Pings that session. Only a session that responds keeps the name: then throws
 * `name_taken`. `find` returns the lease of the name.
 */
export async function settleRival(holder: OwnHolder, find: () => LocalLease | undefined): Promise<void> {
  for (let asked: LeaseHolder | undefined; ;) {
    const lease = find();
    const rival = lease?.holder;
    if (!lease || !rival || rival === holder || lease.record.owner !== holder.address) return;
    // A third session may have taken the lease during the ping.
    if (lease.record.instance === holder.instance || rival === asked) return;
    asked = rival;
    if (!(await rival.alive(PING_MS))) continue;
    if (lease.holder !== rival) continue;
    throw new PortalError(
      'name_taken',
      `another agent with your identity serves ${lease.record.hostname}; stop it, or choose another name`,
      { retryAfterMs: RETRY_MS },
    );
  }
}
