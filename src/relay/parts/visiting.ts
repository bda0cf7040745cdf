import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { LIMITS } from '../../protocol/limits.js';
import type { WireCarrier } from '../../protocol/messages.js';
import type { DataPool } from '../data/data.js';
import { Datagrams } from '../datagrams/datagrams.js';
import type { ListenHost } from '../public-port/listen.js';
import type { LocalLease } from '../leases/lease.js';
import type { LeaseRegistry } from '../leases/leases.js';
import { Forwarding } from '../nodes/forwarding.js';
import type { ForwardedVisitor, Links, TakeForwarded } from '../nodes/links.js';
import { NODE_RESPONSE_MS, type Nodes } from '../nodes/nodes.js';
import { RemoteSessions } from '../nodes/remote-sessions.js';
import { askIssuers, issuersOf } from '../nodes/tags.js';
import type { DataConnection } from '../data/data-connection.js';
import type { Redeeming, TakeData } from '../tickets/redeemed.js';
import type { ShownTicket } from '../tickets/shown-ticket.js';
import { Tallies } from '../tallies.js';
import { DataTickets, type Redeemed } from '../tickets/data-tickets.js';
import { VisitorGate } from '../visitors/visitors.js';
import type { Access } from './access.js';
import type { Settings } from './settings.js';

/** From the timeout of a worker's response to the end of its process. */
const WORKER_END_MS = 2_000;

/** How visitors reach agents: their queue, data connections and datagrams. */
export class Visiting {
  readonly tallies: Tallies;
  readonly gate: VisitorGate;
  readonly tickets: DataTickets;
  readonly datagrams: Datagrams;
  /** Sessions of other nodes. */
  readonly remote: RemoteSessions;
  /** Undefined for a relay of one node. */
  readonly forwarding: Forwarding | undefined;
  readonly #access: Access;
  readonly #nodes: Nodes;
  readonly #links: Links | undefined;
  #ownPool: ((session: string) => DataPool | undefined) | undefined;

  constructor({ options, limits, machineLog, nodes, tag }: Settings, access: Access) {
    this.#access = access;
    this.tallies = new Tallies(options.onVisitorWaited);
    const { quotas, descriptors } = access;
    this.gate = new VisitorGate(limits, {
      quotas,
      descriptors,
      tallies: this.tallies,
      node: options.cluster?.directory.node,
    });
    this.#nodes = nodes;
    this.#links = options.cluster?.links;
    this.tickets = new DataTickets(limits.ticketMs, tag);
    this.forwarding =
      this.#links && new Forwarding({ links: this.#links, gate: this.gate, tallies: this.tallies });
    this.remote = new RemoteSessions({
      nodes,
      tickets: this.tickets,
      gate: this.gate,
      idleDataConnectionMs: limits.idleDataConnectionMs,
      silentDataMs: limits.silentDataMs,
      // An agent waits for its port, until `requestMs`.
      freePortMs: options.cluster?.sharesPorts
        ? Math.min(limits.workerResponseMs + WORKER_END_MS, LIMITS.requestMs)
        : NODE_RESPONSE_MS,
      forwarding: this.forwarding,
    });
    this.datagrams = new Datagrams(limits, {
      log: machineLog,
      admits: (address) => access.denied.admits(address),
      nodes,
      links: this.#links,
      tag,
    });
  }

  /** Call when the relay has sessions: `ownPool` returns the data connections of a session of this node. */
  useSessions(ownPool: (session: string) => DataPool | undefined): void {
    this.#ownPool = ownPool;
  }

  /** Opens the UDP port for agents. `orAny`: or another port if that one is in use. */
  start(hosts: readonly ListenHost[], port: number, orAny: boolean): Promise<void> {
    return this.datagrams.listen(hosts, port, orAny);
  }

  /** Whether a file descriptor is free for a data connection or a carrier of datagrams. */
  readonly hasDescriptors = (socket: Duplex): boolean => this.#access.descriptors.admitsData(socket);

  /** Stops counting a connection with a valid ticket for its address. */
  readonly onTrusted = (socket: Duplex): void => this.#access.quotas.trusted(socket);

  /** Redeems a ticket that a client shows for a data connection. */
  readonly onData = (shown: ShownTicket, carrier: WireCarrier): Redeeming => {
    const ticket = this.tickets.redeem(shown, carrier);
    if (ticket)
      return (data) => {
        this.#count(data);
        ticket.pool.accept(ticket.connection, carrier, data);
      };
    const issuers = issuersOf(this.#nodes, shown.name);
    return issuers.length === 0 ? undefined : this.#redeemElsewhere(issuers, shown, carrier);
  };

  async #redeemElsewhere(
    issuers: readonly string[],
    shown: ShownTicket,
    carrier: WireCarrier,
  ): Promise<TakeData | undefined> {
    const result = await askIssuers(this.#nodes, issuers, 'redeem', shown.plain(), carrier);
    const redeemed = result as Redeemed | undefined;
    const pool = redeemed && (this.#ownPool?.(redeemed.session) ?? this.remote.of(redeemed)?.pool);
    if (!pool) return undefined;
    return (data) => {
      this.#count(data);
      pool.acceptStray(redeemed.connection, carrier, data);
    };
  }

  #count({ isReused }: DataConnection): void {
    this.tallies.dataConnections.add(isReused ? 'reused' : 'opened');
  }

  /** Accepts visitors and WebSockets for datagrams that other nodes forward. */
  acceptForwarded(leases: Pick<LeaseRegistry, 'own' | 'elsewhere' | 'closing'>): void {
    this.#links?.accept((forwarded) => {
      if ('datagrams' in forwarded) return this.datagrams.acceptForwarded(forwarded.datagrams);
      const { visitor } = forwarded;
      // Data connections for another node's session may arrive here only, but not while this node stops.
      const open =
        leases.own(visitor.place) ??
        (this.remote.forwardsOnly ? undefined : leases.elsewhere.at(visitor.place));
      const isOpen = open?.record.epoch === visitor.epoch;
      const lease = isOpen ? open : leases.closing.at(visitor.place, visitor.epoch);
      return lease && this.#takeVisitor(lease, visitor);
    });
  }

  /** The lease waits for the visitor until the other node starts the connection, or closes it. */
  #takeVisitor(lease: LocalLease, visitor: ForwardedVisitor): TakeForwarded {
    const onCancelled = this.gate.expect(lease);
    const take = (socket: Socket): void => {
      this.gate.admitForwarded(lease, visitor, socket);
      onCancelled();
    };
    return Object.assign(take, { onCancelled });
  }

  /** Closes the UDP port for agents. */
  stopListening(): void {
    this.datagrams.close();
  }

  close(): void {
    this.#links?.close();
    this.remote.close();
    this.tickets.close();
  }
}
