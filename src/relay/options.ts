import type { Identity } from '../identity/identity.js';
import type { AcmeChallenges } from '../certificates/acme/challenges.js';
import type { Logger } from '../lib/logger.js';
import type { DropReason } from '../protocol/datagrams/drops.js';
import type { SignedDescriptor } from '../protocol/descriptor.js';
import type { DenyList } from './denied.js';
import type { LabelList } from './labels.js';
import type { KeyPair } from './http.js';
import type { Address, SharedSocket, TakeOver } from './listen.js';
import type { LimitName, RelayLimits } from './limits.js';
import type { PeerSpec } from './peers.js';
import type { PortRange } from './ports.js';
import type { RedirectSpec } from './redirect.js';
import type { readStats } from './stats.js';

/** A relay as whoever starts it sees it: what it is given, and what it tells. */

export interface RelayOptions {
  /** The relay's own host; leases get hostnames below it. */
  readonly domain: string;
  /** Addresses to listen at. `localhost` is both loopbacks, and the empty one every address of this machine. */
  readonly host: string | readonly string[];
  /** 0 takes any free port. */
  readonly port: number;
  /** They listen already, in place of host and port. */
  readonly socket?: SharedSocket | undefined;
  /** Waits for the port while another process, a relay that drains say, gives it up. */
  readonly takeOver?: TakeOver;
  /** Where plain HTTP is sent on to https, besides the public port. Default: nowhere. */
  readonly httpRedirect?: RedirectSpec | undefined;
  /** Port that visitors use, where it differs from the one listened on (behind a NAT, say). */
  readonly publicPort?: number;
  /** UDP port that agents are to use, where it differs from the one that the relay took. */
  readonly datagramPort?: number;
  /** Certificate for `domain`; agents cannot connect before there is one, here or by `serveCertificate`. */
  readonly tls?: KeyPair | undefined;
  /** Challenges of a CA for `domain`, to be answered on the public port. */
  readonly challenges?: AcmeChallenges;
  /** DNS servers that proofs of domains are looked up at, `address:port`; left out, the system's. */
  readonly dnsServers?: readonly string[];
  readonly store: { readonly file: string } | 'memory';
  /** The relay's own key: signs its descriptor. */
  readonly identity: Identity;
  readonly log?: Logger;
  /** Public ports given out for the modes tcp and udp; a kind that is left out is not offered. */
  readonly ports?: { readonly tcp?: PortRange; readonly udp?: PortRange };
  /** Relays that agents may go on to from here, in a chain. */
  readonly peers?: readonly PeerSpec[];
  /** URLs of peers whose key may be another than the one that is remembered. */
  readonly trustPeers?: readonly string[];
  /** How many file descriptors this process may have; undefined: unlimited. Limits that need more are lower. */
  readonly descriptorLimit?: number | undefined;
  /** Bounds that differ from protocol/limits. */
  readonly limits?: Partial<RelayLimits>;
  /** The only identity that is served; undefined: any. */
  readonly owner?: string;
  /** Whom the operator does not want here. */
  readonly deny?: DenyList;
  /** Who alone may hold leases: these identities, and agents at these addresses. Default: any. */
  readonly allow?: DenyList | undefined;
  /** Labels that no agent gets as a name. */
  readonly reservedLabels?: LabelList;
  /** Identities see their agents here, over HTTP, and on a page if `webDir` has one; false: they do not. */
  readonly agents?: { readonly webDir?: string } | false;
  /** Hears how many seconds each visitor waited for a data connection. */
  readonly onVisitorWaited?: (seconds: number) => void;
}

export interface RelayCounts {
  readonly sessions: number;
  /** Those of them that have not proven an identity yet, now and at most so far. */
  readonly handshakes: number;
  readonly mostHandshakes: number;
  readonly leases: number;
  /** Connections that have not said yet what they are. */
  readonly unrouted: number;
  /** Visitors joined to a data connection. */
  readonly visitors: number;
  /** Those who wait for one. */
  readonly waiting: number;
  readonly tickets: number;
  /** Visitors of UDP leases. */
  readonly flows: number;
  /** Connections that are passed on to peers, what went over such so far, and tickets for more. */
  readonly hops: number;
  readonly hopBytes: number;
  readonly hopTickets: number;
  /** Relays that this one passes connections on to, and how many of them are what they say. */
  readonly peers: number;
  readonly knownPeers: number;
  /** Datagrams and packets that went no further, by reason. */
  readonly dropped: Partial<Record<DropReason, number>>;
  /** What was refused, by the limit that it was beyond. */
  readonly refused: Partial<Record<LimitName, number>>;
  /** Connections that were refused, or gave way, because file descriptors were nearly used up. */
  readonly withoutDescriptor: number;
}

export type RelayStats = RelayCounts &
  ReturnType<typeof readStats> & {
    /** When the relay's own certificate ends, in milliseconds since the epoch. */
    readonly certificateEndsAt: number | undefined;
  };

export interface Relay {
  readonly url: string;
  readonly domain: string;
  readonly port: number;
  /** Where it listens: IP addresses, each with its port. */
  readonly addresses: readonly Address[];
  /** Where it sends plain HTTP on to https. */
  readonly httpRedirect: readonly Address[];
  /** The port that visitors use. */
  readonly publicPort: number;
  /** Address of the relay's own key. */
  readonly address: string;
  readonly descriptor: SignedDescriptor;
  counts(): RelayCounts;
  /** What is wrong with it, as /healthz says it; undefined: nothing. */
  problem(): string | undefined;
  /** Everything that metrics tell, read now. */
  stats(): RelayStats;
  /** From now on these are denied, in place of those before: who is here is sent away, visitors and leases included. */
  deny(list: DenyList): void;
  /** From now on only these may hold leases; the sessions and leases of others end. */
  allow(list: DenyList): void;
  /** Labels that no agent gets as a name from now on. Leases that are held stay. */
  reserveLabels(list: LabelList): void;
  /** A new certificate for the relay itself: served from now on, and nobody is dropped. */
  serveCertificate(pair: KeyPair): void;
  /**
   * Gives up every port, sends agents away, lets visitors finish for at most `drainMs`, closes everything. Called
   * again, it waits for the same close, and may shorten the drain.
   */
  close(options?: { drainMs?: number }): Promise<void>;
}
