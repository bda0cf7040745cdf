import { clusterFaultOf } from '../faults.mjs';

/**
 * Which visits may fail, and why, as `excuses` of faults.mjs. Each fault has its own excuses. Two more follow from what happened:
 * a node gave up its leases, and the database failed together with a node.
 */

/** The harness reads the log of a node within this time. */
const AT_ONCE_MS = 500;
/** A node that gave up is back within this time. */
const REJOINED_MS = 10_000;
/** Agents whose node and database failed together have opened their services again within this time after both are back. */
const OPENED_MS = 15_000;

export const gaveUp = ({ msg }) => msg?.endsWith('it gives up its leases') === true;

export function excusesOf({ faults, logs }) {
  const given = logs.filter(gaveUp);
  return [
    ...faults.flatMap((fault) => clusterFaultOf(fault.kind).excuses(fault)),
    ...given.flatMap(({ at, node }) => [
      { from: at - AT_ONCE_MS, until: at + AT_ONCE_MS, node, streams: true },
      { from: at - AT_ONCE_MS, until: at + REJOINED_MS, entry: node },
    ]),
    ...doubles(faults).flatMap((both) => double(both, given)),
  ];
}

/** Faults of the database with a fault of a node at the same time: [{database, node}]. */
export function doubles(faults) {
  return faults
    .filter(({ kind }) => clusterFaultOf(kind).isDatabase)
    .flatMap((database) =>
      faults
        .filter((fault) => clusterFaultOf(fault.kind).downs && overlap(fault, database))
        .map((node) => ({ database, node })),
    );
}

/**
 * Agents of the node cannot open their services elsewhere before the database is back. The other nodes cannot know either whether
 * that node uses the database, so they may give up what they have.
 */
function double({ database, node }, given) {
  const from = Math.max(node.injectedAt, database.injectedAt);
  const until = Math.max(node.healedAt, database.healedAt) + OPENED_MS;
  const first = given.map(({ at }) => at).find((at) => at >= from && at <= until);
  const { streams } = clusterFaultOf(node.kind).excuses(node)[0] ?? {};
  return [
    ...[node.target].flat().map((target) => ({ from: node.injectedAt, until, node: target, streams })),
    ...(first === undefined ? [] : [{ from: first - AT_ONCE_MS, until, streams: true }]),
  ];
}

/** A node that is back needs a moment until it uses the database again, and the database until nodes do. */
const overlap = (one, other) =>
  one.injectedAt <= other.healedAt + OPENED_MS / 3 && other.injectedAt <= one.healedAt + OPENED_MS / 3;
