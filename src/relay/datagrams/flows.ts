import type { RemoteInfo } from 'node:dgram';
import { FairPlaces, type Place } from '../../lib/fair-places.js';
import { networkOf } from '../../net/cidr.js';
import { plainAddress } from '../../net/client-address.js';
import type { UdpSocket } from '../../net/datagrams/udp.js';
import type { ByteRate } from '../../net/rate.js';
import type { Drops } from '../../protocol/datagrams/drops.js';
import { encodeOpening } from '../../protocol/datagrams/frames.js';
import type { LocalLease } from '../leases/lease.js';

/** Where the datagrams of a lease go: the link of the session that serves it. */
export interface FlowLink {
  /** A visitor's datagram. */
  deliver(flow: Flow, payload: Buffer): void;
  /** Call when the flow ends here. */
  forget(flow: Flow): void;
}

/** One visitor of a UDP lease: an address and a port. */
export class Flow {
  readonly flows: LeaseFlows;
  /** The socket that its datagrams arrive at. Replies leave from it. */
  readonly socket: UdpSocket;
  /** The visitor's address, as the socket reports it. */
  readonly address: string;
  readonly port: number;
  /** The lease that serves it. */
  lease: LocalLease;
  lastAt: number;
  /** When it last moved to the end of the queue. */
  queuedAt: number;
  /** Whether the local service has replied. Flows without a reply, perhaps from forged addresses, are evicted first. */
  replied = false;
  /** Its place among the replied or unreplied flows of its lease. */
  place: Place<Flow> | undefined;
  /** The link that knows it, its number there, and whether the agent has confirmed it. */
  link: FlowLink | undefined;
  id = 0;
  opened = false;

  constructor(
    flows: LeaseFlows,
    lease: LocalLease,
    { address, port }: { readonly address: string; readonly port: number },
    socket: UdpSocket,
    now: number,
  ) {
    this.flows = flows;
    this.socket = socket;
    this.address = address;
    this.port = port;
    this.lease = lease;
    this.lastAt = now;
    this.queuedAt = now;
  }

  /** The frame that announces the flow to an agent, without its number. */
  get opening(): Buffer {
    const { address, port } = this;
    return encodeOpening(this.lease.record.id, { address: plainAddress(address), port });
  }
}

/** Datagrams forwarded, at least to the link. */
interface PassedDatagrams {
  toAgent: number;
  toAgentBytes: number;
  toVisitor: number;
  toVisitorBytes: number;
}

export interface LeaseFlowsOptions {
  /** The lease that serves a new visitor with this address. */
  readonly leaseFor: (address: string) => LocalLease | undefined;
  /** One for each address that the relay listens at. */
  readonly sockets: readonly UdpSocket[];
  readonly flowIdleMs: number;
  readonly maxFlows: number;
  /** Counts of the whole relay; those of the lease are in `drops`. */
  readonly drops: Drops;
  /** Whether a visitor with this address is admitted. */
  readonly admits: (address: string) => boolean;
  /** Forwarded datagrams of the whole relay. */
  readonly passed: PassedDatagrams;
  /** Rate that all visitors of the identity share. Datagrams over it are dropped. */
  readonly rate: ByteRate | undefined;
}

/** Precision of the order of idle flows: moving a flow at each datagram would cost more than the datagram. */
const QUEUE_MS = 1_000;

/** The public side of a UDP lease: its sockets, and the flows of its visitors. */
export class LeaseFlows {
  readonly #options: LeaseFlowsOptions;
  /** By the socket that their datagrams arrive at. */
  readonly #byVisitor = new Map<UdpSocket, Map<string, Flow>>();
  #size = 0;
  /** The same flows, longest idle first. */
  readonly #queue = new Set<Flow>();
  /** By the visitors' network, longest idle first: flows without a reply, and the others. */
  readonly #unreplied = newTable();
  readonly #replied = newTable();
  /** The flow of the last datagram. Datagrams come in bursts, so this saves lookups. */
  #latest: Flow | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(options: LeaseFlowsOptions) {
    this.#options = options;
    for (const socket of options.sockets) {
      this.#byVisitor.set(socket, new Map());
      socket.onMessage((payload, from) => this.#receive(payload, from, socket));
      socket.onFailed(() => options.drops.add('unreachable'));
      socket.onOverrun((count) => options.drops.add('receive_buffer', count));
    }
    this.#timer = setInterval(() => this.#expire(), Math.min(5_000, options.flowIdleMs / 2)).unref();
  }

  get size(): number {
    return this.#size;
  }

  /** Sends a reply to the visitor. */
  reply(flow: Flow, payload: Buffer): void {
    const { drops, passed, rate } = this.#options;
    this.#used(flow);
    if (rate && !rate.tryTake(payload.length)) return drops.add('rate');
    if (!flow.replied) {
      this.#leavePlace(flow);
      flow.replied = true;
      this.#enterPlace(flow);
    }
    // The payload is a view of a packet that nothing writes to again.
    if (!flow.socket.send(payload, flow.port, flow.address)) return drops.add('busy');
    passed.toVisitor++;
    passed.toVisitorBytes += payload.length;
    flow.lease.traffic.datagrams.toVisitorBytes += payload.length;
  }

  /** Ends the flows of visitors that are no longer admitted. */
  dropUnwanted(): void {
    for (const flow of this.#all()) if (!this.#options.admits(flow.address)) this.#end(flow);
  }

  /**
   * Makes room for `newcomer`: ends a flow without a reply, or else one with a reply. It takes the longest idle flow of the
   * network with the most.
   */
  evict(newcomer?: Flow): void {
    for (const table of [this.#unreplied, this.#replied]) {
      const flow = table.first;
      if (flow === undefined || flow === newcomer) continue;
      this.#options.drops.add('flows');
      return this.#end(flow);
    }
  }

  /** The agent has ended the flow: it is no longer a visitor. */
  ended(flow: Flow): void {
    this.#end(flow);
  }

  /** Ends all flows. The owner of the sockets closes them. */
  close(): void {
    clearInterval(this.#timer);
    for (const flow of this.#all()) {
      flow.link?.forget(flow);
      flow.lease.traffic.flows--;
    }
    for (const flows of this.#byVisitor.values()) flows.clear();
    this.#size = 0;
    for (const flow of this.#queue) this.#leave(flow);
  }

  *#all(): Generator<Flow> {
    for (const flows of this.#byVisitor.values()) yield* flows.values();
  }

  #receive(payload: Buffer, from: RemoteInfo, socket: UdpSocket): void {
    const { drops, passed, rate } = this.#options;
    if (rate && !rate.tryTake(payload.length)) return drops.add('rate');
    const latest = this.#latest;
    const isLatest =
      latest?.port === from.port && latest.address === from.address && latest.socket === socket;
    const flow = isLatest ? latest : this.#flowOf(from, socket);
    if (!flow) return;
    this.#latest = flow;
    const link = this.#linkOf(flow);
    // A delayed datagram would come too late. The visitor retries, or does not need it.
    if (!link) return drops.add('away');
    this.#used(flow);
    passed.toAgent++;
    passed.toAgentBytes += payload.length;
    flow.lease.traffic.datagrams.toAgentBytes += payload.length;
    link.deliver(flow, payload);
  }

  /** The link to the agent that serves a flow. Another replica may take over. */
  #linkOf(flow: Flow): FlowLink | undefined {
    const { holder, record } = flow.lease;
    if (holder && record.replica?.healthy !== false) return holder.datagrams;
    const next = this.#options.leaseFor(flow.address);
    if (!next) return undefined;
    if (next !== flow.lease) {
      flow.lease.traffic.flows--;
      next.traffic.flows++;
      flow.lease = next;
    }
    return next.holder?.datagrams;
  }

  #flowOf(from: RemoteInfo, socket: UdpSocket): Flow | undefined {
    const { address, port } = from;
    const key = `${port} ${address}`;
    const here = this.#byVisitor.get(socket)!;
    const present = here.get(key);
    if (present) return present;
    const { admits, leaseFor, drops } = this.#options;
    const lease = admits(address) ? leaseFor(address) : undefined;
    if (!lease?.holder) {
      drops.add(lease || admits(address) ? 'away' : 'refused');
      return undefined;
    }
    if (this.#size >= this.#options.maxFlows) this.evict();
    const flow = new Flow(this, lease, from, socket, performance.now());
    here.set(key, flow);
    lease.traffic.flows++;
    this.#size++;
    this.#queue.add(flow);
    this.#enterPlace(flow);
    return flow;
  }

  #used(flow: Flow): void {
    const now = performance.now();
    flow.lastAt = now;
    if (now - flow.queuedAt < QUEUE_MS) return;
    flow.queuedAt = now;
    this.#queue.delete(flow);
    this.#queue.add(flow);
    if (flow.place) this.#placesOf(flow).touch(flow.place);
  }

  #expire(): void {
    const before = performance.now() - this.#options.flowIdleMs;
    for (const flow of this.#queue) {
      if (flow.lastAt <= before) this.#end(flow);
      // In the order of `queuedAt`, which is at most a second behind.
      else if (flow.queuedAt > before) break;
    }
  }

  #end(flow: Flow): void {
    if (this.#byVisitor.get(flow.socket)?.delete(`${flow.port} ${flow.address}`)) {
      this.#size--;
      flow.lease.traffic.flows--;
    }
    if (this.#latest === flow) this.#latest = undefined;
    this.#leave(flow);
    flow.link?.forget(flow);
  }

  #leave(flow: Flow): void {
    this.#queue.delete(flow);
    this.#leavePlace(flow);
  }

  #placesOf(flow: Flow): FairPlaces<Flow> {
    return flow.replied ? this.#replied : this.#unreplied;
  }

  #enterPlace(flow: Flow): void {
    flow.place = this.#placesOf(flow).enter(flow, networkOf(plainAddress(flow.address)));
  }

  #leavePlace(flow: Flow): void {
    if (flow.place) this.#placesOf(flow).leave(flow.place);
  }
}

/** `evict` asks which flow must make room, so this drops none. */
const newTable = (): FairPlaces<Flow> => new FairPlaces<Flow>({ max: 0, drop: () => undefined });
