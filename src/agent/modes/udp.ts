import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { formatTarget } from '../../net/target/target.js';
import { Drops } from '../../protocol/datagrams/drops.js';
import type { FlowAddress } from '../../protocol/datagrams/frames.js';
import { LIMITS } from '../../protocol/limits.js';
import type { Gates } from '../access/gates.js';
import type { FlowReply, FlowSink, LocalFlow } from '../datagrams/flows.js';
import type { OnReached } from '../target/target-protocols.js';
import { retirementOf, type ServiceSpec } from '../spec.js';
import { retiringIn, type Traffic } from './mode.js';
import { UdpFlow } from './udp-flow.js';
import { ExpectedProbes } from './udp-probes.js';

/**
 * Mode `udp`: sends each visitor's datagrams to the target from a socket of their own. The local service sees one
 * peer per visitor, so its replies reach the right visitor.
 */
export class UdpHandler implements FlowSink {
  readonly probes = new ExpectedProbes();
  readonly #log: Logger;
  readonly #drops = new Drops();
  /** By visitor, because a flow outlives the session in which it started, and its number there. */
  readonly #flows = new Map<string, UdpFlow>();
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
      isProbe: (payload) => this.probes.take(payload),
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

function isFromAnyPort({ udp }: ServiceSpec): boolean {
  return udp?.replyFromAnyPort ?? false;
}
