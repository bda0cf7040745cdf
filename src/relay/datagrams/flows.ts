import type { RemoteInfo } from 'node:dgram';
import { FairPlaces, type Place } from '../../lib/fair-places.js';
import { networkOf } from '../../net/cidr.js';
import type { UdpSocket } from '../../net/udp.js';
import type { ByteRate } from '../../net/rate.js';
import type { Drops } from '../../protocol/datagrams/drops.js';
import { encodeOpening } from '../../protocol/datagrams/frames.js';
import { plainAddress } from '../names.js';

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
  /** The frame that announces the flow to an agent, without its number. */
  readonly opening: Buffer;
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
    lease: string,
    { address, port }: { readonly address: string; readonly port: number },
    socket: UdpSocket,
    now: number,
  ) {
    this.flows = flows;
    this.socket = socket;
    this.address = address;
    this.port = port;
    this.opening = encodeOpening(lease, { address: plainAddress(address), port });
    this.lastAt = now;
    this.queuedAt = now;
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
  /** The lease's id. */
  readonly lease: string;
  /** The carrier that the agent wants for the lease: `ws`, or the one that works best. */
  readonly carrier: () => 'udp' | 'ws';
  /** One for each address that the relay listens at. */
  readonly sockets: readonly UdpSocket[];
  /** The link of the session that serves the lease; undefined while its agent is disconnected. */
  readonly link: () => FlowLink | undefined;
  readonly flowIdleMs: number;
  readonly maxFlows: number;
  /** Counts of the whole relay; those of the lease are in `drops`. */
  readonly drops: Drops;
  /** Whether a visitor with this address is admitted. */
  readonly admits: (address: string) => boolean;
  /** Forwarded datagrams of the whole relay. */
  readonly passed: PassedDatagrams;
  /** Forwarded bytes of the lease. */
  readonly leasePassed: Pick<PassedDatagrams, 'toAgentBytes' | 'toVisitorBytes'>;
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

  /** The current link. */
  get link(): FlowLink | undefined {
    return this.#options.link();
  }

  get carrier(): 'udp' | 'ws' {
    return this.#options.carrier();
  }

  /** Sends a reply to the visitor. */
  reply(flow: Flow, payload: Buffer): void {
    const { drops, passed, leasePassed, rate } = this.#options;
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
    leasePassed.toVisitorBytes += payload.length;
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
    for (const flow of this.#all()) flow.link?.forget(flow);
    for (const flows of this.#byVisitor.values()) flows.clear();
    this.#size = 0;
    for (const flow of this.#queue) this.#leave(flow);
  }

  *#all(): Generator<Flow> {
    for (const flows of this.#byVisitor.values()) yield* flows.values();
  }

  #receive(payload: Buffer, from: RemoteInfo, socket: UdpSocket): void {
    const link = this.#options.link();
    // A delayed datagram would come too late. The visitor retries, or does not need it.
    const { drops, passed, leasePassed, rate } = this.#options;
    if (!link) return drops.add('away');
    if (rate && !rate.tryTake(payload.length)) return drops.add('rate');
    const latest = this.#latest;
    const isLatest =
      latest?.port === from.port && latest.address === from.address && latest.socket === socket;
    const flow = isLatest ? latest : this.#flowOf(from, socket);
    if (!flow) return drops.add('refused');
    this.#latest = flow;
    this.#used(flow);
    passed.toAgent++;
    passed.toAgentBytes += payload.length;
    leasePassed.toAgentBytes += payload.length;
    link.deliver(flow, payload);
  }

  #flowOf(from: RemoteInfo, socket: UdpSocket): Flow | undefined {
    const { address, port } = from;
    const key = `${port} ${address}`;
    const here = this.#byVisitor.get(socket)!;
    const present = here.get(key);
    if (present) return present;
    if (!this.#options.admits(address)) return undefined;
    if (this.#size >= this.#options.maxFlows) this.evict();
    const flow = new Flow(this, this.#options.lease, from, socket, performance.now());
    here.set(key, flow);
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
    if (this.#byVisitor.get(flow.socket)?.delete(`${flow.port} ${flow.address}`)) this.#size--;
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
