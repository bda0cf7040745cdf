import { clusterFaultOf } from '../faults.mjs';
import { doubles, gaveUp } from './excuses.mjs';

/** Checks of what nodes did. */

/** A node gives up this long after a fault began at the latest. */
const BEFORE_MS = 10_000;
/** A node that waited so long for a CPU within that time may have missed the deadline of a renewal. */
const STARVED_MS = 2_000;

/** A node gives up its leases only if a fault keeps it alone from the database. */
export function checkGivenUp({ logs, faults }, facts) {
  return logs.filter(gaveUp).flatMap(({ at, node }) => {
    const near = faults.filter(
      ({ injectedAt, healedAt = Infinity }) => injectedAt <= at && healedAt >= at - BEFORE_MS,
    );
    const isAlone = near.some(({ kind, target }) => clusterFaultOf(kind).losesNode && target === node);
    // A node that does not respond keeps the others from going on without the database.
    if (isAlone || doubles(near).length > 0 || facts.starvation.of(node, at - BEFORE_MS, at) > STARVED_MS)
      return [];
    return [{ promise: 'visitors go on without the database', at, node, what: `${node} gave up its leases` }];
  });
}

/** A node that slept or was cut off for longer than its time to live gives up what it had. */
export function checkLost({ faults, changes }, facts) {
  return faults.flatMap((fault) => {
    const { kind, target, injectedAt, healedAt } = fault;
    if (!clusterFaultOf(kind).losesNode || healedAt === undefined) return [];
    const wasExpelled = changes.some(
      ({ what, op, key, at }) =>
        what === 'lost_nodes' &&
        op === 'INSERT' &&
        facts.machineOf(key) === target &&
        at >= injectedAt &&
        at <= healedAt + BEFORE_MS,
    );
    const didGiveUp = facts.givenUp(target).some((at) => at >= injectedAt && at <= healedAt + BEFORE_MS);
    if (!wasExpelled || didGiveUp) return [];
    return [
      {
        promise: 'a paused node gives up',
        at: healedAt,
        node: target,
        what: `${target} was lost, and went on`,
      },
    ];
  });
}
