import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { TcpTarget } from '../../net/target/addresses.js';
import { AnyPortDatagrams } from '../../net/datagrams/any-port-datagrams.js';
import { TargetDatagrams, type Datagrams } from '../../net/datagrams/target-datagrams.js';
import { formatTarget, type Target } from '../../net/target/target.js';
import { Drops } from '../../protocol/datagrams/drops.js';
import type { FlowAddress } from '../../protocol/datagrams/frames.js';
import { LIMITS } from '../../protocol/limits.js';
import type { Gates } from '../access/gates.js';
import type { FlowReply, FlowSink, LocalFlow } from '../datagrams/flows.js';
import type { OnReached } from '../target/target-protocols.js';
import { retirementOf, type ServiceSpec } from '../spec.js';
import { retiringIn, type Traffic } from './mode.js';

/** Limit of datagrams that wait while a flow's socket opens, which may need a DNS lookup. */
const MAX_HELD = 16;
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/** Length of a probe's token. */
export const PROBE_BYTES = 32;

/**
 * Mode `udp`: sends each visitor's datagrams to the target from a socket of their own. The local service sees one
 * peer per visitor, so its replies reach the right visitor.
 */
export class UdpHandler implements FlowSink {
  readonly #log: Logger;
  readonly #drops = new Drops();
  /** By visitor, because a flow outlives the session in which it started, and its number there. */
  readonly #flows = new Map<string, UdpFlow>();
  readonly #probes = new Map<string, () => void>();
  /** The latest finished probe. Copies of it may arrive late. */
  #pastProbe: string | undefined;
  readonly #timer: NodeJS.Timeout;
  /** Flows to a former target, with the time since then, oldest first. */
  readonly #retiring = new Map<UdpFlow, number>();
  #retireTimer: NodeJS.Timeout | undefined;
  readonly #gates: Pick<Gates, 'admits' | 'enter'>;
  readonly #onReached: OnReached;
  #spec: ServiceSpec;
  #idleMs: number = LIMITS.flowIdleMs;
  #bytesIn = 0;
  #bytesOut = 0;
  /** The target refused datagrams and has not replied since. */
  #isDown = false;
  #closed = false;

  constructor(spec: ServiceSpec, log: Logger, gates: Pick<Gates, 'admits' | 'enter'>, onReached: OnReached) {
    this.#spec = spec;
    this.#onReached = onReached;
    this.#gates = gates;
    this.#log = log;
    this.#timer = setInterval(() => this.#expire(), 5_000).unref();
  }

  /** The relay ends idle flows and reports that. This timeout is for ends that it could not report. */
  set idleMs(ms: number) {
    this.#idleMs = ms;
  }

  flow(visitor: FlowAddress, reply: FlowReply): LocalFlow | undefined {
    if (this.#closed) return undefined;
    const key = `${visitor.address} ${visitor.port}`;
    const present = this.#flows.get(key);
    if (present) {
      present.reply = reply;
      return present;
    }
    // A rejected visitor also has a flow: a probe may come from any address, and the gate may open.
    this.#gates.enter(visitor);
    const flow = new UdpFlow(reply, {
      mayEnter: () => this.#gates.admits(visitor),
      target: () => this.#spec.target,
      fromAnyPort: () => isFromAnyPort(this.#spec),
      isProbe: (payload) => this.#isProbe(payload),
      drops: this.#drops,
      received: (bytes) => (this.#bytesIn += bytes),
      replied: (bytes) => {
        this.#bytesOut += bytes;
        this.#replied();
      },
      failed: (error) => this.#failed(error),
      ended: () => {
        this.#retiring.delete(flow);
        if (this.#flows.get(key) === flow) this.#flows.delete(key);
      },
    });
    this.#flows.set(key, flow);
    return flow;
  }

  update(spec: ServiceSpec): void {
    this.#flows.forEach((flow) => flow.review());
    // The rest is read for each new flow, so existing flows keep their settings.
    const isMoved =
      formatTarget(spec.target) !== formatTarget(this.#spec.target) ||
      isFromAnyPort(spec) !== isFromAnyPort(this.#spec);
    this.#spec = spec;
    if (isMoved) {
      this.#isDown = false;
      const now = performance.now();
      for (const flow of this.#flows.values())
        if (flow.hasTarget && !this.#retiring.has(flow)) this.#retiring.set(flow, now);
    }
    this.#retire();
  }

  /**
   * A flow may use any protocol, without visible pauses. It stays for a while. Later datagrams start another flow.
   */
  #retire(): void {
    clearTimeout(this.#retireTimer);
    const { ms } = retirementOf(this.#spec);
    const before = performance.now() - ms;
    for (const [flow, since] of this.#retiring) {
      if (since > before) {
        this.#retireTimer = setTimeout(() => this.#retire(), Math.ceil(since - before)).unref();
        return;
      }
      flow.terminate();
    }
  }

  /** Datagrams have no end to wait for. Datagrams without a reply are lost, as UDP allows. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#retireTimer);
    for (const flow of this.#flows.values()) flow.end();
  }

  traffic(): Traffic {
    return {
      visitors: [...this.#flows.values()].filter(({ isAllowed }) => isAllowed).length,
      ...retiringIn(this.#retiring.size),
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      dropped: this.#drops.counts(),
    };
  }

  /**
   * Calls `arrived` when a datagram with exactly these bytes arrives. It is not forwarded, even if it arrives after the
   * returned function was called.
   */
  expectProbe(token: Buffer, arrived: () => void): () => void {
    const key = token.toString('latin1');
    this.#probes.set(key, arrived);
    return () => {
      if (this.#pastProbe !== undefined) this.#probes.delete(this.#pastProbe);
      this.#pastProbe = key;
    };
  }

  #isProbe(payload: Buffer): boolean {
    if (payload.length !== PROBE_BYTES || this.#probes.size === 0) return false;
    const arrived = this.#probes.get(payload.toString('latin1'));
    arrived?.();
    return arrived !== undefined;
  }

  #failed(error: unknown): void {
    const { service, target } = this.#spec;
    const code = systemCode(error);
    const reason =
      code === undefined
        ? asPortalError(error).message
        : `${formatTarget(target)} does not receive datagrams (${code})`;
    // Once until it replies again, because each datagram may fail in the same way.
    if (!this.#isDown) this.#log.warn({ service, reason }, 'the local service does not receive datagrams');
    this.#isDown = true;
    this.#onReached(target, new PortalError('target_down', reason));
  }

  #replied(): void {
    if (!this.#isDown) return;
    this.#isDown = false;
    this.#onReached(this.#spec.target);
  }

  #expire(): void {
    // Later than the relay, which sees both directions as well.
    const before = performance.now() - this.#idleMs - 5_000;
    for (const flow of this.#flows.values()) {
      if (flow.lastAt > before) continue;
      flow.reply.end();
      flow.end();
    }
  }
}

interface FlowOptions {
  readonly mayEnter: () => boolean;
  readonly target: () => Target;
  readonly fromAnyPort: () => boolean;
  readonly isProbe: (payload: Buffer) => boolean;
  readonly drops: Drops;
  readonly received: (bytes: number) => void;
  readonly replied: (bytes: number) => void;
  readonly failed: (error: unknown) => void;
  readonly ended: () => void;
}

class UdpFlow implements LocalFlow {
  reply: FlowReply;
  lastAt = performance.now();
  readonly #options: FlowOptions;
  #socket: Datagrams | undefined;
  #held: Buffer[] | undefined;
  #ended = false;
  isAllowed: boolean;

  constructor(reply: FlowReply, options: FlowOptions) {
    this.reply = reply;
    this.#options = options;
    this.isAllowed = options.mayEnter();
  }

  /** The gate has changed: ends a flow that is no longer allowed. */
  review(): void {
    this.isAllowed = this.#options.mayEnter();
    if (!this.isAllowed && this.#socket) this.terminate();
  }

  deliver(payload: Buffer): void {
    const { drops, isProbe, received } = this.#options;
    if (this.#ended) return drops.add('no_flow');
    if (isProbe(payload)) {
      if (!this.#socket) this.terminate();
      return;
    }
    if (!this.isAllowed) return drops.add('refused');
    this.lastAt = performance.now();
    const socket = this.#socket;
    if (!socket) return this.#hold(payload);
    if (socket.send(payload)) received(payload.length);
    else drops.add('busy');
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether a target is connected or connecting. */
  get hasTarget(): boolean {
    return this.#socket !== undefined || this.#held !== undefined;
  }

  end(reply: FlowReply = this.reply): void {
    if (this.#ended || reply !== this.reply) return;
    this.#ended = true;
    this.#socket?.close();
    this.#options.ended();
  }

  /** Ends the flow here and at the relay. The visitor's next datagram starts another. */
  terminate(): void {
    this.reply.end();
    this.end();
  }

  #hold(payload: Buffer): void {
    if (!this.#held) {
      this.#held = [];
      void this.#open();
    }
    if (this.#held.length < MAX_HELD) this.#held.push(payload);
    else this.#options.drops.add('busy');
  }

  async #open(): Promise<void> {
    const { target, fromAnyPort, drops, failed } = this.#options;
    let socket: Datagrams;
    try {
      const kind = fromAnyPort() ? AnyPortDatagrams : TargetDatagrams;
      socket = await kind.open(forDatagrams(target()), SOCKET_BUFFER_BYTES, {
        onMessage: (payload) => this.#forwardReply(payload),
        // The flow continues, because the service may come back.
        onFailed: (error, lost) => {
          drops.add('unreachable', lost);
          failed(error);
        },
        onOverrun: (count) => drops.add('receive_buffer', count),
        onEnd: () => this.terminate(),
      });
    } catch (error) {
      failed(error);
      drops.add('unreachable', this.#held?.length ?? 0);
      return this.terminate();
    }
    const held = this.#held ?? [];
    this.#held = undefined;
    if (this.#ended) {
      // The flow was evicted before its socket was ready. Its datagrams are still sent.
      for (const payload of held) socket.send(payload);
      return socket.close();
    }
    this.#socket = socket;
    for (const payload of held) this.deliver(payload);
  }

  #forwardReply(payload: Buffer): void {
    this.lastAt = performance.now();
    this.#options.replied(payload.length);
    this.reply.send(payload);
  }
}

function forDatagrams(target: Target): TcpTarget {
  if (target.kind === 'tcp') return target;
  throw new PortalError('internal', 'a unix socket cannot receive datagrams');
}

function isFromAnyPort({ udp }: ServiceSpec): boolean {
  return udp?.replyFromAnyPort ?? false;
}
