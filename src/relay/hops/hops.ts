import type { Socket } from 'node:net';
import { PortalError } from '../../lib/errors.js';
import { failureReason } from '../../lib/failure-reason.js';
import { FairPlaces } from '../../lib/fair-places.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import { networkOf } from '../../net/cidr.js';
import { plainAddress } from '../../net/client-address.js';
import { resetSocket, socketBelow } from '../../net/splice/reset.js';
import { SpliceSet, type Drain } from '../../net/splice/splice.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromAgent, FromRelay } from '../../protocol/messages.js';
import type { Descriptors } from '../protection/descriptors.js';
import { announce, type HopPath } from './preface.js';
import { HopTickets, invalidTicket } from '../tickets/hop-tickets.js';
import type { OwnHolder } from '../leases/lease.js';
import type { LeaseRegistry } from '../leases/leases.js';
import type { RelayLimits } from '../limits.js';
import { dialHop } from './dial.js';
import type { Nodes } from '../nodes/nodes.js';
import { askIssuers, issuersOf } from '../nodes/tags.js';
import type { Peer, Peers } from './peers.js';
import type { Quotas } from '../protection/quotas.js';
import type { ShownTicket } from '../tickets/shown-ticket.js';

/**
 * Hops: connections that agents open through this relay to a peer, for a chain. Only agents with a proven identity get
 * tickets, only peers can be reached, and every hop counts. So a relay is not an open proxy.
 */

const STRAIGHT: HopPath = { count: 0, from: undefined };

export interface HopsOptions {
  readonly peers: Peers;
  readonly leases: LeaseRegistry;
  readonly quotas: Quotas;
  readonly descriptors: Descriptors;
  readonly limits: RelayLimits;
  readonly domain: string;
  readonly nodeHost?: string | undefined;
  readonly nodes: Nodes;
  /** Begins the names of this node's tickets. */
  readonly tag?: string | undefined;
  /** Handles the connection like one of a visitor: an agent connects to a lease of this relay. */
  readonly takeVisitor: (socket: Socket) => void;
  readonly log: Logger;
}

/** Where a hop leads. */
type Destination = { kind: 'peer'; peer: Peer } | { kind: 'front' } | ({ kind: 'port' } & PublicPort);

interface PublicPort {
  readonly host: string;
  readonly port: number;
}

/** The agent that a hop is for, as plain data. */
interface HopClient {
  readonly address: string;
  readonly remoteAddress: string | undefined;
  /** The target is the public port of a lease of its session, which is there. */
  readonly ownPort: PublicPort | undefined;
}

export class Hops {
  readonly #options: HopsOptions;
  #own = { url: '', authority: '', host: '' };
  readonly #tickets: HopTickets;
  readonly #splices: SpliceSet;
  readonly #paths = new WeakMap<Socket, HopPath>();
  /** Forwarded connections and those being opened, by the network of their agent. */
  readonly #places: FairPlaces<Socket>;
  #opening = 0;
  #closed = false;

  constructor(options: HopsOptions) {
    this.#options = options;
    const { ticketMs, visitorIdleMs, visitorLifetimeMs } = options.limits;
    this.#tickets = new HopTickets(ticketMs, options.tag);
    this.#splices = new SpliceSet({
      idleMs: visitorIdleMs,
      halfClosedMs: LIMITS.halfClosedMs,
      lifetimeMs: visitorLifetimeMs,
      firstResponseMs: 0,
    });
    this.#places = new FairPlaces({
      max: options.limits.maxHopConnections,
      drop: (socket) => {
        options.quotas.refusals.add('maxHopConnections');
        resetSocket(socket);
      },
    });
  }

  /** Disconnects everything that is forwarded for an identity. */
  closeOf(identity: string): void {
    this.#splices.closeOf(identity);
  }

  /** Forwarded connections, including those being opened. */
  get size(): number {
    return this.#splices.size + this.#opening;
  }

  /** Bytes forwarded so far, both directions together. */
  get bytes(): number {
    const { toA, toB } = this.#splices.totalBytes;
    return toA + toB;
  }

  get tickets(): number {
    return this.#tickets.size;
  }

  /** `url` is this relay's own, `authority` is `host:port` as agents name it, `host` is the address that it listens on. */
  start(own: { readonly url: string; readonly authority: string; readonly host: string }): void {
    this.#own = own;
  }

  /** Notes that a peer forwarded this connection. Throws `hop_loop` or `too_many_hops`. */
  arrived(socket: Socket, path: HopPath): void {
    if (path.from === this.#own.url) throw new PortalError('hop_loop', 'the chain leads back to this relay');
    if (path.count > LIMITS.maxHops || this.#paths.has(socket)) throw tooManyHops();
    this.#paths.set(socket, path);
  }

  /** Responds to `hop.open` of a session whose control channel is `socket`. Throws if the session may not reach the target. */
  issue(
    session: OwnHolder,
    { id, target, count = 1 }: FromAgent<'hop.open'>,
    socket: Socket,
  ): FromRelay<'hop.opened'> {
    this.#destination(this.#clientOf(session, target), target, this.#pathOf(socket));
    const tickets = this.#tickets.issue(session, target, count);
    return { type: 'hop.opened', id, tickets };
  }

  /**
   * Handles a `CONNECT` with a ticket. Resolves with a function that starts forwarding: call it after writing the 200.
   * Throws the reason otherwise. A proven ticket is used up in either case.
   */
  async connect(shown: ShownTicket, target: string, socket: Socket): Promise<() => void> {
    const client = await this.#redeem(shown, target);
    if (socket.destroyed) throw invalidTicket();
    const path = this.#pathOf(socket);
    const destination = this.#destination(client, target, path);
    this.#admit(client, socket, destination.kind !== 'front');
    if (destination.kind === 'front') return () => this.#options.takeVisitor(socket);
    this.#opening++;
    try {
      const far =
        destination.kind === 'port'
          ? await dialHop(destination.host, destination.port)
          : await this.#openPeer(destination.peer, path);
      return () => this.#join(client, socket, far);
    } finally {
      this.#opening--;
    }
  }

  /** Drops the tickets of a session that ended. Its open hops continue. */
  forget(session: OwnHolder): void {
    this.#tickets.forget(session);
  }

  async drain(drain: Drain): Promise<void> {
    await this.#splices.drain(drain);
  }

  close(): void {
    this.#closed = true;
    this.#tickets.close();
    this.#splices.closeAll();
  }

  /** Redeems a ticket for another node, where its client connected. Throws `unauthorized`. */
  redeemFor(shown: ShownTicket, target: string): HopClient {
    return this.#clientOf(this.#tickets.redeem(shown, target), target, this.#options.nodeHost);
  }

  /** The client of a ticket of this node, or of another one. Throws `unauthorized`. */
  async #redeem(shown: ShownTicket, target: string): Promise<HopClient> {
    const { nodes } = this.#options;
    if (!this.#tickets.has(shown.name)) {
      const issuers = issuersOf(nodes, shown.name);
      const client = await askIssuers(nodes, issuers, 'redeemHop', shown.plain(), target);
      if (client) return client as HopClient;
    }
    return this.#clientOf(this.#tickets.redeem(shown, target), target);
  }

  /** `portHost` is where public ports of this node are reached. Default: on this machine. */
  #clientOf(session: OwnHolder, target: string, portHost = loopbackOf(this.#own.host)): HopClient {
    const { leases, domain, nodeHost } = this.#options;
    const { address, remoteAddress } = session;
    const { host = '', port } = readTarget(target);
    const isHere = [domain, nodeHost && plainHost(nodeHost)].includes(plainHost(host));
    const ownPort =
      isHere && leases.listensFor(session, port) ? { host: plainHost(portHost), port } : undefined;
    return { address, remoteAddress, ownPort };
  }

  /** Where `target` leads for this client. Throws if the client may not reach it. */
  #destination({ ownPort }: HopClient, target: string, path: HopPath): Destination {
    const { peers } = this.#options;
    if (target === this.#own.authority) return { kind: 'front' };
    if (ownPort) return { kind: 'port', ...ownPort };
    const peer = peers.find(target);
    if (!peer)
      throw new PortalError('peer_unknown', `${this.#own.url} does not forward to ${target.slice(0, 260)}`);
    if (path.from === peer.url)
      throw new PortalError('hop_loop', `this connection came to ${this.#own.url} from ${peer.url}`);
    if (path.count >= LIMITS.maxHops) throw tooManyHops();
    if (!peer.descriptor) {
      peers.wanted(peer);
      throw this.#notReached(peer, peer.problem?.message ?? 'its descriptor has not been fetched yet');
    }
    return { kind: 'peer', peer };
  }

  #admit(session: HopClient, socket: Socket, takesPlace: boolean): void {
    const { quotas, descriptors, limits } = this.#options;
    if (!descriptors.admitsVisitor(socket))
      throw new PortalError('limit_exceeded', 'this relay has no file descriptors left for more connections');
    if (!quotas.hop(session.address, socket))
      throw new PortalError(
        'limit_exceeded',
        `an identity may have ${limits.maxHopConnectionsPerIdentity} forwarded connections (maxHopConnectionsPerIdentity)`,
      );
    if (!takesPlace) return;
    const place = this.#places.enter(socket, networkOf(plainAddress(session.remoteAddress)));
    if (!place) {
      quotas.refusals.add('maxHopConnections');
      throw new PortalError(
        'limit_exceeded',
        `this relay forwards at most ${limits.maxHopConnections} connections (maxHopConnections)`,
      );
    }
    socket.once('close', () => this.#places.leave(place));
  }

  async #openPeer(peer: Peer, path: HopPath): Promise<Socket> {
    let plain: Socket | undefined;
    try {
      plain = await peer.connect();
      await within(
        announce(plain, peer, { count: path.count + 1, from: this.#own.url }),
        LIMITS.hopMs,
        `the response of ${peer.url}`,
      );
      return plain;
    } catch (error) {
      plain?.destroy();
      if (error instanceof PortalError && (error.code === 'hop_loop' || error.code === 'too_many_hops'))
        throw error;
      throw this.#notReached(peer, failureReason(error), error);
    }
  }

  #notReached(peer: Peer, reason: string, cause?: unknown): PortalError {
    return new PortalError('peer_unreachable', `${this.#own.url} could not reach ${peer.url}: ${reason}`, {
      cause,
    });
  }

  #join(session: HopClient, near: Socket, far: Socket): void {
    if (this.#closed || near.destroyed) {
      near.destroy();
      far.destroy();
      return;
    }
    this.#splices.add(near, far, {
      owner: session.address,
      rate: this.#options.quotas.rateOf(session.address),
    });
  }

  /** The path of the connection below TLS, if there is one. */
  #pathOf(socket: Socket): HopPath {
    return this.#paths.get(socketBelow(socket) ?? socket) ?? STRAIGHT;
  }
}

/** The parts of `host:port`. */
function readTarget(target: string): { host: string | undefined; port: number } {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(target) ?? [];
  return { host, port: Number(port) };
}

function tooManyHops(): PortalError {
  return new PortalError('too_many_hops', `a chain has ${LIMITS.maxHops + 1} relays at most`);
}

/** Without the brackets of an IPv6 address. */
const plainHost = (host: string): string => host.replace(/^\[|\]$/g, '');

/** The address that reaches a server listening on `host`. */
function loopbackOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
