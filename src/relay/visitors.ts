import type { Socket } from 'node:net';
import { SpliceSet, type SpliceResult } from '../net/splice.js';
import { LIMITS, START_BYTE } from '../protocol/limits.js';
import type { WireCarrier } from '../protocol/messages.js';
import type { Lease } from './leases.js';
import { plainAddress } from './names.js';

export interface VisitorBounds {
  readonly maxWaitingVisitors: number;
  readonly visitorWaitMs: number;
  readonly firstAnswerMs: number;
}

const START = Buffer.from([START_BYTE]);

/** A connection from outside that asked for a leased hostname, until it is joined to a data connection. */
export class Visitor {
  readonly lease: Lease;
  readonly carrier: WireCarrier;
  readonly serverName: string;
  readonly remote: { readonly address: string; readonly port: number };
  readonly #socket: Socket;
  readonly #head: Buffer;
  #timer: NodeJS.Timeout | undefined;
  readonly #gone = (): void => this.giveUp();

  constructor(lease: Lease, carrier: WireCarrier, serverName: string, socket: Socket, head: Buffer) {
    this.lease = lease;
    this.carrier = carrier;
    this.serverName = serverName;
    this.remote = { address: plainAddress(socket.remoteAddress), port: socket.remotePort ?? 0 };
    this.#socket = socket;
    this.#head = head;
  }

  /** Waits in the lease's line, for at most `ms`. */
  wait(ms: number): void {
    this.lease.waiting.add(this);
    this.#timer = setTimeout(this.#gone, ms);
    this.#socket.once('close', this.#gone);
  }

  /** Leaves the line and closes: no data connection came in time, or the visitor went away. */
  giveUp(): void {
    this.#leaveLine();
    this.#socket.destroy();
  }

  /** Joins the visitor to `data`: the start byte, what the visitor has said so far, then everything. */
  join(data: Socket, splices: SpliceSet, onEnd: (result: SpliceResult) => void): void {
    this.#leaveLine();
    data.write(Buffer.concat([START, this.#head]));
    splices.add(this.#socket, data, onEnd);
  }

  #leaveLine(): void {
    clearTimeout(this.#timer);
    this.#socket.off('close', this.#gone);
    this.lease.waiting.delete(this);
  }
}

/** Lets visitors in: finds them a data connection at once where one is idle, else a bounded place in line. */
export class VisitorGate {
  readonly splices: SpliceSet;
  readonly #bounds: VisitorBounds;

  constructor(bounds: VisitorBounds) {
    this.#bounds = bounds;
    this.splices = new SpliceSet({
      idleMs: LIMITS.visitorIdleMs,
      lifetimeMs: LIMITS.visitorLifetimeMs,
      firstAnswerMs: bounds.firstAnswerMs,
    });
  }

  admit(
    lease: Lease,
    socket: Socket,
    hello: { serverName: string; alpn: readonly string[] },
    head: Buffer,
  ): void {
    if (lease.waiting.size >= this.#bounds.maxWaitingVisitors) {
      socket.destroy();
      return;
    }
    // Whoever sits on the agent's own network must not be able to answer a certificate challenge for it.
    const carrier = hello.alpn.includes('acme-tls/1') ? 'tls' : lease.carrier;
    const visitor = new Visitor(lease, carrier, hello.serverName, socket, head);
    visitor.wait(this.#bounds.visitorWaitMs);
    // In grace there is no holder: the line waits with the lease, and the returning session serves it.
    lease.holder?.serve(lease);
  }
}
