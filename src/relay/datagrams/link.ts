import type { WebSocket } from 'ws';
import { PortalError } from '../../lib/errors.js';
import { WebSocketFrames } from '../../net/websocket/frames.js';
import type { Drops } from '../../protocol/datagrams/drops.js';
import { readFrames, type FrameSink } from '../../protocol/datagrams/frames.js';
import { Reassembly } from '../../protocol/datagrams/reassembly.js';
import { FrameWriter, type FramePath } from '../../protocol/datagrams/writer.js';
import { LIMITS } from '../../protocol/limits.js';
import type { Flow, FlowLink, LeaseFlows } from './flows.js';
import { UdpAssociation, type DatagramHub } from './hub.js';

export type DatagramCarrier = 'udp' | 'ws';

interface OpenPath {
  readonly path: FramePath & { readonly carrier: DatagramCarrier; close(): void };
  readonly writer: FrameWriter;
}

export interface DatagramLinkOptions {
  readonly hub: DatagramHub | undefined;
  /** Keying material of the control channel's TLS session; undefined before TLS 1.3. */
  readonly exportKey: (context: Buffer) => Buffer | undefined;
  readonly maxFlows: number;
  readonly drops: Drops;
}

/**
 * The datagrams of one session: its paths to the agent, and the flows on them. The agent chooses the path, since only the agent
 * sees whether a probe got a reply.
 */
export class DatagramLink implements FlowLink {
  /** The unused ticket for its WebSocket, if there is one. */
  ticket: string | undefined;
  readonly #options: DatagramLinkOptions;
  readonly #paths = new Map<DatagramCarrier, OpenPath>();
  /** The path for datagrams, unless their lease sets another. */
  #used: DatagramCarrier | undefined;
  /** The highest number of a probe that chose a path: a delayed probe must not change it. */
  #usedAt = -1;
  readonly #flows = new Map<number, Flow>();
  /** Number of flows per lease. */
  readonly #perLease = new Map<LeaseFlows, number>();
  #nextFlow = 1;
  #closed = false;

  constructor(options: DatagramLinkOptions) {
    this.#options = options;
  }

  get flows(): number {
    return this.#flows.size;
  }

  /** Creates an association for the `udp` carrier, which replaces the previous one. Returns its id. */
  openUdp(): string {
    const { hub, exportKey } = this.#options;
    if (!hub) throw new PortalError('capability_missing', 'this relay has no UDP port for agents');
    const association = hub.newAssociation();
    const secret = exportKey(association);
    if (!secret) throw new PortalError('capability_missing', 'datagrams over UDP need TLS 1.3');
    this.#paths.get('udp')?.path.close();
    this.#add((receive) => new UdpAssociation(hub, { secret, association }, receive));
    return association.toString('hex');
  }

  /** Takes the agent's WebSocket, which replaces the previous one. */
  acceptWs(ws: WebSocket): void {
    if (this.#closed) return ws.terminate();
    this.#paths.get('ws')?.path.close();
    const opened = this.#add(
      (receive) =>
        new WebSocketFrames(
          ws,
          { maxBytes: LIMITS.maxFramesBytes, maxBacklogBytes: LIMITS.maxDatagramBacklogBytes },
          {
            frames: receive,
            closed: () => {
              if (this.#paths.get('ws') === opened) this.#paths.delete('ws');
            },
          },
        ),
    );
  }

  deliver(flow: Flow, payload: Buffer): void {
    const opened = this.#pathOf(flow);
    if (!opened) return this.#options.drops.add('away');
    if (flow.link !== this) this.#adopt(flow);
    opened.writer.data(flow.id, payload, flow.opened ? undefined : flow.opening);
  }

  forget(flow: Flow): void {
    if (this.#drop(flow)) this.#pathOf(flow)?.writer.close(flow.id);
  }

  close(): void {
    this.#closed = true;
    for (const { path } of this.#paths.values()) path.close();
    this.#paths.clear();
    // The flows stay with their lease. The next session's link adopts them.
    for (const flow of this.#flows.values()) flow.link = undefined;
    this.#flows.clear();
    this.#perLease.clear();
  }

  #drop(flow: Flow): boolean {
    if (!this.#flows.delete(flow.id)) return false;
    this.#count(flow.flows, -1);
    flow.link = undefined;
    return true;
  }

  #adopt(flow: Flow): void {
    flow.link?.forget(flow);
    if (this.#flows.size >= this.#options.maxFlows) this.#evict(flow);
    flow.link = this;
    flow.id = this.#nextFlow++;
    flow.opened = false;
    this.#flows.set(flow.id, flow);
    this.#count(flow.flows, 1);
  }

  #count(flows: LeaseFlows, change: number): void {
    const count = (this.#perLease.get(flows) ?? 0) + change;
    if (count > 0) this.#perLease.set(flows, count);
    else this.#perLease.delete(flows);
  }

  /** Ends a flow of the lease with the most: a flood of visitors must not displace those of other leases. */
  #evict(newcomer: Flow): void {
    let largest: LeaseFlows | undefined;
    let most = 0;
    for (const [flows, count] of this.#perLease) {
      if (count > most) [largest, most] = [flows, count];
    }
    largest?.evict(newcomer);
  }

  #pathOf(flow: Flow): OpenPath | undefined {
    const carrier = flow.lease.record.carrier === 'ws' ? 'ws' : this.#used;
    return carrier && this.#paths.get(carrier);
  }

  #add(open: (receive: (frames: Buffer) => void) => OpenPath['path']): OpenPath {
    const { drops } = this.#options;
    let sink: FrameSink | undefined;
    const path = open((frames) => {
      if (!readFrames(frames, sink!)) drops.add('malformed');
    });
    const opened = { path, writer: new FrameWriter(path, (count) => drops.add('busy', count)) };
    sink = this.#sink(opened);
    this.#paths.set(path.carrier, opened);
    return opened;
  }

  #sink(opened: OpenPath): FrameSink {
    const { drops } = this.#options;
    // Each path numbers its fragmented datagrams separately.
    const reassembly = new Reassembly((count) => drops.add('incomplete', count));
    const data = (id: number, payload: Buffer): void => {
      const flow = this.#flows.get(id);
      // Another session may have taken the lease meanwhile.
      if (!flow || flow.lease.holder?.datagrams !== this) return drops.add('no_flow');
      flow.opened = true;
      flow.flows.reply(flow, payload);
    };
    return {
      data,
      fragment: (id, datagram, index, count, payload) => {
        // Only for existing flows: an agent must not make the relay keep fragments that go nowhere.
        if (!this.#flows.has(id)) return drops.add('no_flow');
        const whole = reassembly.add(id, datagram, index, count, payload, performance.now());
        if (whole) data(id, whole);
      },
      probe: (sequence, use) => {
        if (use && sequence > this.#usedAt) {
          this.#usedAt = sequence;
          this.#used = opened.path.carrier;
        }
        opened.writer.probeReply(sequence);
      },
      opened: (id) => {
        const flow = this.#flows.get(id);
        if (flow) flow.opened = true;
      },
      // The agent lost or ended the flow. The visitor's next datagram starts another.
      close: (id) => {
        const flow = this.#flows.get(id);
        if (!flow) return;
        this.#drop(flow);
        flow.flows.ended(flow);
      },
      open: () => drops.add('malformed'),
      probeReply: () => drops.add('malformed'),
    };
  }
}
