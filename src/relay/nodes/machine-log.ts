import type { Logger } from '../../lib/logger.js';
import type { Cluster } from './nodes.js';

/**
 * Where a node warns of what all nodes on its machine notice, such as a wrong clock. Of several, the one that has run longest
 * does. Another node on another machine has its own log.
 */
export function machineLog(log: Logger, cluster: Cluster | undefined): Pick<Logger, 'warn'> {
  if (!cluster?.sharesPorts) return log;
  const { directory, nodes } = cluster;
  // Their names are numbered in the order of their starts.
  const isEarlier = (other: string): boolean =>
    other.localeCompare(directory.node, 'en', { numeric: true }) < 0;
  return {
    warn: (fields, message) => {
      if (![...nodes.others].some(isEarlier)) log.warn(fields, message);
    },
  };
}
