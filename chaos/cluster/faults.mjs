import { nodeFaults } from './faults/nodes.mjs';
import { networkFaults } from './faults/network.mjs';
import { replicaFaults } from './faults/replicas.mjs';
import { databaseFaults } from './faults/database.mjs';
import { takeoverFaults } from './faults/takeover.mjs';

/**
 * Every kind of fault of `--cluster`. Fields as in faults/all.mjs, and:
 *   excuses     which visits may fail: a function of a fault that returns [{from, until, …}]. A visit must touch this span of
 *               time, and what else is given: `node` on its way, both nodes of the `pair` on its way, the node `entry` that
 *               the visitor chose itself, an `agent` of the name. With `streams`, open streams may break, too
 *   recoverMs   everything must be healthy within this time after the fault ends
 *   losesNode   the node loses its leases, because its time to live ends
 *   downs       its targets are nodes that do not respond meanwhile
 *   isDatabase  no node can use the database meanwhile
 */
export const CLUSTER_FAULTS = [
  ...nodeFaults,
  ...replicaFaults,
  ...takeoverFaults,
  ...networkFaults,
  ...databaseFaults,
];

export const clusterFaultOf = (kind) => CLUSTER_FAULTS.find((one) => one.kind === kind);
