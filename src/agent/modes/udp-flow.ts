import { PortalError } from '../../lib/errors.js';
import type { TcpTarget } from '../../net/target/addresses.js';
import { AnyPortDatagrams } from '../../net/datagrams/any-port-datagrams.js';
import { TargetDatagrams, type Datagrams } from '../../net/datagrams/target-datagrams.js';
import type { Target } from '../../net/target/target.js';
import type { Drops } from '../../protocol/datagrams/drops.js';
import type { FlowReply, LocalFlow } from '../datagrams/flows.js';

/** Limit of datagrams that wait while a flow's socket opens, which may need a DNS lookup. */
const MAX_HELD = 16;
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

export interface FlowOptions {
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

/** Owns one visitor's socket to the target, so that the target sees a peer for each visitor. */
export class UdpFlow implements LocalFlow {
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
