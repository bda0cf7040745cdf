import type { Identity } from '../identity/identity.js';
import type { AcmeChallenges } from '../certificates/acme/challenges.js';
import type { Logger } from '../lib/logger.js';
import type { DropReason } from '../protocol/datagrams/drops.js';
import type { SignedDescriptor } from '../protocol/descriptor.js';
import type { DenyList } from './protection/access-lists.js';
import type { LabelList } from './names/labels.js';
import type { KeyPair } from './public-port/http-surface.js';
import type { Address } from '../net/listen/listen-error.js';
import type { SharedSocket, TakeOver } from './public-port/listen.js';
import type { LimitName, RelayLimits } from './limits.js';
import type { Cluster, ClusterCounts } from './nodes/nodes.js';
import type { PeerSpec } from './hops/peers.js';
import type { PortRange } from './leases/ports.js';
import type { RedirectSpec } from './public-port/redirect.js';
import type { readStats } from './stats.js';

/** A relay for the code that starts it: its options and its methods. */

export interface RelayOptions {
  /** The relay's own host. Services get hostnames below it. */
  readonly domain: string;
  /** Addresses to listen at. `localhost` is both loopback addresses; an empty string is every address of this machine. */
  readonly host: string | readonly string[];
  /** 0: any free port. */
  readonly port: number;
  /** Sockets that already listen. They replace host and port. */
  readonly socket?: SharedSocket | undefined;
  /** Waits for the port while another process releases it, for example a relay that drains. */
  readonly takeOver?: TakeOver;
  /** Where plain HTTP is redirected to https, in addition to the public port. Default: nowhere. */
  readonly httpRedirect?: RedirectSpec | undefined;
  /** Addresses and ranges of proxies whose connections begin with a header of the PROXY protocol. Default: none. */
  readonly proxies?: readonly string[];
  /** A name or address that leads to this node alone, for its ports of mode tcp and udp. Default: the domain. */
  readonly nodeHost?: string | undefined;
  /** Port that visitors use, if it differs from the listening port, for example behind a NAT. */
  readonly publicPort?: number;
  /** UDP port that agents use, if it differs from the port that the relay listens on. */
  readonly datagramPort?: number;
  /** Certificate for `domain`. Agents cannot connect until the relay has one, from here or from `serveCertificate`. */
  readonly tls?: KeyPair | undefined;
  /** Keys of TLS session tickets, 48 bytes that all nodes of the relay share. Default: random. */
  readonly tlsTicketKeys?: Uint8Array | undefined;
  /** ACME challenges for `domain`, served on the public port. */
  readonly challenges?: AcmeChallenges;
  /** DNS servers for the proofs of domains, `address:port`. Default: the system's. */
  readonly dnsServers?: readonly string[];
  /** Unused in a cluster. */
  readonly store: { readonly file: string } | 'memory';
  /** What this node shares with the other nodes of its relay. Default: the relay has one node. */
  readonly cluster?: Cluster | undefined;
  /** The relay's own key. It signs the descriptor. */
  readonly identity: Identity;
  readonly log?: Logger;
  /** Public ports for modes tcp and udp. A kind without a range is not offered. */
  readonly ports?: { readonly tcp?: PortRange; readonly udp?: PortRange };
  /** Relays that agents may reach through this relay, in a chain. */
  readonly peers?: readonly PeerSpec[];
  /** URLs of peers whose key may differ from the known one. */
  readonly trustPeers?: readonly string[];
  /** File descriptors that this process may open; undefined: unlimited. Lowers limits that need more. */
  readonly descriptorLimit?: number | undefined;
  /** Limits that differ from protocol/limits. */
  readonly limits?: Partial<RelayLimits>;
  /** The only identity that may use the relay; undefined: any. */
  readonly owner?: string;
  /** Identities and addresses that the relay rejects. */
  readonly deny?: DenyList;
  /** The only identities, and addresses of agents, that may hold leases. Default: any. */
  readonly allow?: DenyList | undefined;
  /** Labels that agents cannot use as names. */
  readonly reservedLabels?: LabelList;
  /** Whether identities can list their agents over HTTP, and on a page if `webDir` has one. */
  readonly agents?: { readonly webDir?: string } | false;
  /**
   * Called at each step of a shutdown, with nodes that shut down together. Resolves once all of them have called it as often, or
   * within a timeout.
   */
  readonly inStep?: () => Promise<void>;
  /** Called with the seconds that each visitor waited for a data connection. */
  readonly onVisitorWaited?: (seconds: number) => void;
}

export interface RelayCounts {
  readonly sessions: number;
  /** Sessions that have not proven an identity yet: now, and the highest number so far. */
  readonly handshakes: number;
  readonly mostHandshakes: number;
  readonly leases: number;
  /** Connections that have not sent enough bytes to be routed. */
  readonly unrouted: number;
  /** Visitors joined to a data connection. */
  readonly visitors: number;
  /** Visitors that wait for a data connection. */
  readonly waiting: number;
  readonly tickets: number;
  /** Visitors of UDP leases. */
  readonly flows: number;
  /** Connections forwarded to peers, their bytes so far, and unused tickets. */
  readonly hops: number;
  readonly hopBytes: number;
  readonly hopTickets: number;
  /** Number of peers, and of peers with a valid descriptor. */
  readonly peers: number;
  readonly knownPeers: number;
  /** Dropped datagrams and packets, by reason. */
  readonly dropped: Partial<Record<DropReason, number>>;
  /** Rejections, by limit. */
  readonly refused: Partial<Record<LimitName, number>>;
  /** Connections rejected or closed because file descriptors were running out. */
  readonly withoutDescriptor: number;
}

export type RelayStats = RelayCounts &
  ReturnType<typeof readStats> & {
    /** When the relay's own certificate expires, in milliseconds since the epoch. */
    readonly certificateEndsAt: number | undefined;
    /** Undefined for a relay of one machine. */
    readonly cluster?: ClusterCounts | undefined;
    /** How often this node gave up its leases and joined the others again; undefined for a relay of one machine. */
    readonly expirations?: number | undefined;
  };

export interface Relay {
  readonly url: string;
  readonly domain: string;
  readonly port: number;
  /** The addresses that it listens at: IP addresses, each with its port. */
  readonly addresses: readonly Address[];
  /** The addresses where it redirects plain HTTP to https. */
  readonly httpRedirect: readonly Address[];
  /** The port that visitors use. */
  readonly publicPort: number;
  /** Address of the relay's own key. */
  readonly address: string;
  readonly descriptor: SignedDescriptor;
  counts(): RelayCounts;
  /** What is wrong with it, as /healthz reports it; undefined while it is healthy. */
  problem(): string | undefined;
  /** What does not work while it serves visitors, as /healthz reports it; undefined if everything works. */
  degraded(): string | undefined;
  /** Current values of all metrics. */
  stats(): RelayStats;
  /** Replaces the deny list. Disconnects agents on it, with their leases, and visitors on it. */
  deny(list: DenyList): void;
  /** Replaces the allow list. Ends the sessions and leases of other agents. */
  allow(list: DenyList): void;
  /** Replaces the reserved labels. Existing leases stay. */
  reserveLabels(list: LabelList): void;
  /** Uses a new certificate for the relay itself. Existing connections continue. */
  serveCertificate(pair: KeyPair): void;
  /**
   * Closes every port, tells agents to reconnect, lets visitors finish for at most `drainMs`, then closes everything. A second
   * call waits for the same close and may shorten the drain.
   */
  close(options?: { drainMs?: number }): Promise<void>;
}
