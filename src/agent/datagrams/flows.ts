import type { Drops } from '../../protocol/datagrams/drops.js';
import { readFrames, type FlowAddress, type FrameSink } from '../../protocol/datagrams/frames.js';
import { Reassembly } from '../../protocol/datagrams/reassembly.js';
import type { FrameWriter } from '../../protocol/datagrams/writer.js';
import { LIMITS } from '../../protocol/limits.js';

/** Sends datagrams back to one visitor. */
export interface FlowReply {
  send(payload: Buffer): void;
  /** The flow has ended on this side. */
  end(): void;
}

/** A visitor's flow on this side, which receives its datagrams. */
export interface LocalFlow {
  /** The payload is a view of a packet that is never written to again. */
  deliver(payload: Buffer): void;
  /** It accepts no more datagrams: the relay must open the flow again. */
  readonly ended: boolean;
  /**
   * The visitor has been idle for too long, or was evicted. A flow with a newer reply path ignores this, because the
   * end of the old path may arrive after the start of the next.
   */
  end(reply: FlowReply): void;
}

/** Where the flows of a lease start: the mode's handler. */
export interface FlowSink {
  /** A visitor's flow, new or existing. Undefined if the visitor is rejected. */
  flow(visitor: FlowAddress, reply: FlowReply): LocalFlow | undefined;
}

export interface ServedLease {
  readonly sink: FlowSink;
  /** `ws` only, or whichever works best. */
  readonly carrier: 'udp' | 'ws';
}

interface Entry {
  readonly reply: FlowReply;
  /** Undefined if the visitor was rejected. */
  readonly local: LocalFlow | undefined;
}

/** The relay has the same limit, so one that opens more misbehaves. */
const MAX_FLOWS = 2 * LIMITS.maxFlowsPerSession;

/** The flows of one session, by the numbers that its relay assigned. */
export class SessionFlows {
  readonly drops: Drops;
  readonly #leases: ReadonlyMap<string, ServedLease>;
  readonly #writerOf: (lease: string) => FrameWriter | undefined;
  readonly #flows = new Map<number, Entry>();

  constructor(
    leases: ReadonlyMap<string, ServedLease>,
    writerOf: (lease: string) => FrameWriter | undefined,
    drops: Drops,
  ) {
    this.drops = drops;
    this.#leases = leases;
    this.#writerOf = writerOf;
  }

  /** Reads frames of a path whose replies go to `writer`. */
  reader(writer: () => FrameWriter, onProbeReply: (sequence: number) => void): (frames: Buffer) => void {
    // Each path numbers its fragmented datagrams separately.
    const reassembly = new Reassembly((count) => this.drops.add('incomplete', count));
    const sink: FrameSink = {
      open: (flow, lease, visitor) => this.#open(flow, lease, visitor, writer()),
      data: (flow, payload) => this.#data(flow, payload, writer()),
      fragment: (flow, datagram, index, count, payload) => {
        if (!this.#flows.has(flow)) return this.#unknown(flow, writer());
        const whole = reassembly.add(flow, datagram, index, count, payload, performance.now());
        if (whole) this.#data(flow, whole, writer());
      },
      close: (flow) => {
        const entry = this.#flows.get(flow);
        this.#flows.delete(flow);
        entry?.local?.end(entry.reply);
      },
      probeReply: onProbeReply,
      probe: () => this.drops.add('malformed'),
      opened: () => this.drops.add('malformed'),
    };
    return (frames) => {
      if (!readFrames(frames, sink)) this.drops.add('malformed');
    };
  }

  #open(flow: number, lease: string, visitor: FlowAddress, writer: FrameWriter): void {
    if (!this.#flows.has(flow)) {
      const served = this.#leases.get(lease);
      if (!served || this.#flows.size >= MAX_FLOWS) return;
      const reply: FlowReply = {
        send: (payload) => this.#send(flow, lease, payload),
        end: () => {
          if (this.#flows.delete(flow)) this.#writerOf(lease)?.close(flow);
        },
      };
      this.#flows.set(flow, { reply, local: served.sink.flow(visitor, reply) });
    }
    // The relay repeats `open` until it receives this.
    writer.opened(flow);
  }

  #data(flow: number, payload: Buffer, writer: FrameWriter): void {
    const entry = this.#flows.get(flow);
    if (!entry) this.#unknown(flow, writer);
    else if (entry.local?.ended) {
      this.#flows.delete(flow);
      this.#unknown(flow, writer);
    } else if (entry.local) entry.local.deliver(payload);
    else this.drops.add('refused');
  }

  /** Tells the relay, so that it opens the flow again. */
  #unknown(flow: number, writer: FrameWriter): void {
    this.drops.add('no_flow');
    writer.close(flow);
  }

  #send(flow: number, lease: string, payload: Buffer): void {
    const writer = this.#writerOf(lease);
    if (writer) writer.data(flow, payload);
    else this.drops.add('away');
  }
}
