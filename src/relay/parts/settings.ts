import { silent, type Logger } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import { limitsFor } from '../protection/descriptors.js';
import type { RelayLimits } from '../limits.js';
import type { ListenHost } from '../public-port/listen.js';
import { machineLog } from '../nodes/machine-log.js';
import { ALONE, type Nodes } from '../nodes/nodes.js';
import { ticketTagOf } from '../nodes/tags.js';
import type { RelayOptions } from '../options.js';

/** The options of a relay, and what follows from them. */
export interface Settings {
  readonly options: RelayOptions;
  readonly limits: RelayLimits;
  readonly log: Logger;
  /** For warnings that all workers would give. */
  readonly machineLog: Pick<Logger, 'warn'>;
  /** The other nodes of the relay. */
  readonly nodes: Nodes;
  /** Begins the names of this node's tickets; undefined without a cluster. */
  readonly tag: string | undefined;
}

export function settingsOf(options: RelayOptions): Settings {
  const { cluster, log = silent } = options;
  return {
    options,
    limits: { ...LIMITS, ...limitsFor(LIMITS, options.descriptorLimit), ...options.limits },
    log,
    machineLog: machineLog(log, cluster),
    nodes: cluster?.nodes ?? ALONE,
    tag: cluster && ticketTagOf(cluster.directory.node),
  };
}

/** Where a relay listens. */
export interface Place {
  readonly hosts: readonly ListenHost[];
  readonly port: number;
  /** The port that visitors use. */
  readonly publicPort: number;
  readonly domain: string;
  /** The domain, with the public port unless that is 443. */
  readonly authority: string;
  readonly url: string;
}

export function placeAt(
  { domain, publicPort: asked }: RelayOptions,
  hosts: readonly ListenHost[],
  port: number,
): Place {
  const publicPort = asked ?? port;
  const authority = publicPort === 443 ? domain : `${domain}:${publicPort}`;
  return { hosts, port, publicPort, domain, authority, url: `https://${authority}` };
}
