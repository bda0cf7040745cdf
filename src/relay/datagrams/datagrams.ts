import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { Drops } from '../../protocol/datagrams/drops.js';
import type { FromAgent, FromRelay } from '../../protocol/messages.js';
import type { LocalLease } from '../leases/lease.js';
import { bindOnAllHosts, type ListenHost } from '../public-port/listen.js';
import type { OpenPort } from '../leases/ports.js';
import type { ShownTicket } from '../tickets/shown-ticket.js';
import { TicketBook } from '../tickets/ticket-book.js';
import type { ForwardedDatagrams, Links, TakeForwarded } from '../nodes/links.js';
import type { Cluster, Nodes } from '../nodes/nodes.js';
import { ForwardedSockets } from './forwarded-sockets.js';
import { PacketForwarding } from './forwarding.js';
import { LeaseFlows, type LeaseFlowsOptions } from './flows.js';
import { DatagramHub } from './hub.js';
import { DatagramLink } from './link.js';

export interface DatagramLimits {
  readonly ticketMs: number;
  readonly flowIdleMs: number;
  readonly maxFlowsPerLease: number;
  readonly maxFlowsPerSession: number;
  readonly datagramProbeMs: number;
}

export interface DatagramsOptions {
  readonly log: Pick<Logger, 'warn'>;
  /** Whether a visitor's address is allowed. */
  readonly admits: (address: string) => boolean;
  readonly nodes: Nodes;
  readonly links: Links | undefined;
  /** Begins the names of this node's tickets; undefined without a cluster. */
  readonly tag: string | undefined;
}

/** The datagrams of a relay: its UDP port for agents, the tickets for the WebSocket carrier, the flows of its leases. */
export class Datagrams {
  readonly drops = new Drops();
  readonly passed = { toAgent: 0, toAgentBytes: 0, toVisitor: 0, toVisitorBytes: 0 };
  readonly #limits: DatagramLimits;
  readonly #log: Pick<Logger, 'warn'>;
  readonly #admits: (address: string) => boolean;
  readonly #tickets: TicketBook<DatagramLink>;
  readonly #flows = new Set<LeaseFlows>();
  readonly #forwarded: ForwardedSockets;
  #forwarding: PacketForwarding | undefined;
  #hub: DatagramHub | undefined;

  constructor(limits: DatagramLimits, { log, admits, tag, nodes, links }: DatagramsOptions) {
    this.#limits = limits;
    this.#admits = admits;
    this.#log = log;
    this.#tickets = new TicketBook({ ticketMs: limits.ticketMs, tag });
    this.#forwarded = new ForwardedSockets({ nodes, links, redeem: (shown) => this.redeem(shown) });
  }

  /** Flows of visitors. */
  get flows(): number {
    let flows = 0;
    for (const lease of this.#flows) flows += lease.size;
    return flows;
  }

  /** The UDP port for agents; undefined without one, so agents use the WebSocket. */
  get port(): number | undefined {
    return this.#hub?.port;
  }

  /** Shares the UDP port for agents with the other nodes. Call it before `listen`. */
  shareWith({ directory: { node }, nodes, sharesPorts = false }: Cluster): void {
    this.#forwarding = new PacketForwarding({ node, nodes, sharesPorts, drops: this.drops });
  }

  /** Opens the UDP port with the number of the TCP port. `orAny`: or another port if that one is in use. */
  async listen(hosts: readonly ListenHost[], port: number, orAny: boolean): Promise<void> {
    try {
      this.#hub = await DatagramHub.open(hosts, port, { drops: this.drops, forwarding: this.#forwarding });
    } catch (error) {
      if (orAny && systemCode(error) === 'EADDRINUSE') return this.listen(hosts, 0, false);
      this.#log.warn(
        { port, reason: systemCode(error) },
        'no UDP port for agents: their datagrams use the WebSocket',
      );
    }
  }

  /** Listens for visitors of a public place. `leaseFor` returns the lease that serves a visitor. */
  async openPort(
    hosts: readonly ListenHost[],
    port: number,
    { rate }: LocalLease,
    leaseFor: LeaseFlowsOptions['leaseFor'],
  ): Promise<OpenPort> {
    const sockets = await bindOnAllHosts(hosts, port);
    const { flowIdleMs, maxFlowsPerLease } = this.#limits;
    const flows = new LeaseFlows({
      leaseFor,
      sockets,
      flowIdleMs,
      maxFlows: maxFlowsPerLease,
      drops: this.drops,
      admits: this.#admits,
      passed: this.passed,
      rate,
    });
    this.#flows.add(flows);
    return {
      port: sockets[0]!.port,
      close: () => {
        this.#flows.delete(flows);
        flows.close();
        for (const socket of sockets) socket.close();
      },
    };
  }

  /** Call when `admits` changed: ends the flows that are not admitted. */
  dropUnwanted(): void {
    for (const flows of this.#flows) flows.dropUnwanted();
  }

  /** The datagrams of one session. */
  link(exportKey: (context: Buffer) => Buffer | undefined): DatagramLink {
    return new DatagramLink({
      hub: this.#hub,
      exportKey,
      maxFlows: this.#limits.maxFlowsPerSession,
      drops: this.drops,
    });
  }

  /** Responds to `datagrams.open`. */
  open({ id, carrier }: FromAgent<'datagrams.open'>, link: DatagramLink): FromRelay<'datagrams.opened'> {
    const { datagramProbeMs, flowIdleMs } = this.#limits;
    const access = carrier === 'udp' ? { association: link.openUdp() } : { ticket: this.#issue(link) };
    return { type: 'datagrams.opened', id, ...access, probeMs: datagramProbeMs, flowIdleMs };
  }

  /** What takes the WebSocket of a client with a proven ticket, which is used up; undefined if the ticket is invalid. */
  redeem(shown: ShownTicket): ((ws: WebSocket) => void) | undefined {
    const link = this.#tickets.use(shown)?.of;
    return link && ((ws) => link.acceptWs(ws));
  }

  /** Forwards the WebSocket of a client whose ticket another node issued; undefined if no node takes it. */
  forward(datagrams: ForwardedDatagrams): Promise<((socket: Socket) => void) | undefined> {
    return this.#forwarded.forward(datagrams);
  }

  /** What takes a WebSocket that another node forwards; undefined if its ticket is invalid. */
  acceptForwarded(datagrams: ForwardedDatagrams): TakeForwarded | undefined {
    return this.#forwarded.accept(datagrams);
  }

  /** Call when a session ends. */
  forget(link: DatagramLink): void {
    this.#revoke(link);
    link.close();
  }

  close(): void {
    this.#tickets.close();
    this.#forwarded.close();
    this.#hub?.close();
  }

  /** One ticket per session: a new one replaces the old one. */
  #issue(link: DatagramLink): string {
    this.#revoke(link);
    const ticket = this.#tickets.issue(link);
    link.ticket = ticket;
    return ticket;
  }

  #revoke(link: DatagramLink): void {
    if (link.ticket !== undefined) this.#tickets.revoke(link.ticket);
    link.ticket = undefined;
  }
}
