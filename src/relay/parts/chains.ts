import type { Socket } from 'node:net';
import { Hops } from '../hops/hops.js';
import { Peers } from '../hops/peers.js';
import type { Access } from './access.js';
import type { Leasing } from './leasing.js';
import type { DurableState } from './durable-state.js';
import type { Place, Settings } from './settings.js';

export interface ChainsParts {
  readonly durable: DurableState;
  readonly access: Access;
  readonly leasing: Leasing;
  /** Handles a connection like one of a visitor. */
  readonly takeVisitor: (socket: Socket) => void;
}

/** Chains through this relay: its peers, and what it forwards to them. */
export class Chains {
  readonly peers: Peers;
  readonly hops: Hops;

  constructor(
    { options, limits, log, nodes, tag }: Settings,
    { durable, access, leasing, takeVisitor }: ChainsParts,
  ) {
    const { quotas, descriptors } = access;
    this.peers = new Peers({
      peers: options.peers ?? [],
      trustAnew: options.trustPeers ?? [],
      store: durable.store,
      limits,
      log,
    });
    this.hops = new Hops({
      peers: this.peers,
      leases: leasing.leases,
      quotas,
      descriptors,
      limits,
      domain: options.domain,
      nodeHost: options.nodeHost,
      nodes,
      tag,
      takeVisitor,
      log,
    });
  }

  start({ url, domain, publicPort, hosts }: Place): void {
    this.hops.start({ url, authority: `${domain}:${publicPort}`, host: hosts[0]!.host });
    this.peers.start(url);
  }

  /** Asks no more peers. */
  stop(): void {
    this.peers.close();
  }

  close(): void {
    this.stop();
    this.hops.close();
  }
}
