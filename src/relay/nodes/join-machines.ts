import type { AcmeChallenges, ChallengePair } from '../../certificates/acme/challenges.js';
import { listenError } from '../../net/listen/listen-error.js';
import { LIMITS } from '../../protocol/limits.js';
import type { RelayOptions } from '../options.js';
import { joinCluster, type PostgresCluster } from '../postgres/cluster.js';
import { LINK } from '../postgres/link.js';
import { silent } from '../../lib/logger.js';
import { Outage } from './outage.js';
import type { JoinedNode } from './rejoining-relay.js';
import { ask, type Nodes } from './nodes.js';
import type { SharedFiles } from './shared-files.js';
import { TlsNodes } from './tls-nodes.js';

/** Where nodes on several machines meet. */
export interface MeetingPlace {
  /** `postgres://…`. May contain a password: it must not reach a log. */
  readonly url: string;
  /** Where other nodes reach this one: HOST:PORT. */
  readonly nodeAddress: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Gets the files that the nodes share. */
  readonly files: SharedFiles;
}

/** Joins the other nodes: they share a database, and connect to each other. */
export async function joinMachines(options: RelayOptions, place: MeetingPlace): Promise<JoinedNode> {
  const { identity, domain, limits, log = silent } = options;
  const { host, port } = place.listen;
  const nodes = await TlsNodes.listen({ identity, host, port, log }).catch((error: unknown) => {
    throw listenError(error, host, port);
  });
  let outage: Outage | undefined;
  let cluster: PostgresCluster;
  try {
    cluster = await joinCluster({
      url: place.url,
      relay: { identity: identity.address, domain },
      nodeAddress: place.nodeAddress,
      graceMs: limits?.graceMs ?? LIMITS.graceMs,
      outageAt: () => outage?.at,
      log,
    });
  } catch (error) {
    nodes.destroy();
    throw error;
  }
  const { node, directory, store, denials, others, isConnected, isCurrent, degraded, counts } = cluster;
  nodes.join(node, others);
  place.files.use(cluster.filesOf(identity));
  if (options.challenges) shareChallenges(options.challenges, nodes);
  outage = new Outage({ nodes, isConnected, everyMs: LINK.renewMs });
  log.info({ node, address: place.nodeAddress }, 'joined the nodes of this relay');
  return {
    cluster: { directory, store, denials, nodes, links: nodes, isCurrent, degraded, counts },
    onExpired: (listener) => cluster.onExpired(listener),
    started: () => nodes.started(),
    close: async () => {
      outage.close();
      nodes.destroy();
      await cluster.close();
    },
  };
}

/** A CA may connect to any node to validate the domain. */
function shareChallenges(challenges: AcmeChallenges, nodes: Nodes): void {
  nodes.serve({
    challenge: (_from: string, hostname: string, pair: ChallengePair | undefined) =>
      challenges.hear(hostname, pair),
  });
  challenges.share = (hostname, pair) =>
    Promise.all([...nodes.others].map((node) => ask(nodes, node, 'challenge', hostname, pair)));
}
