import type { Socket } from 'node:net';
import type { Place } from '../../lib/fair-places.js';
import { deadline } from '../../lib/wait.js';
import { networkOf } from '../../net/cidr.js';
import { clientOf, plainAddress } from '../../net/client-address.js';
import { stopReading } from '../../net/splice/read-handle.js';
import { resetSocket } from '../../net/splice/reset.js';
import type { SpliceSet } from '../../net/splice/splice.js';
import { LIMITS } from '../../protocol/limits.js';
import type { WireCarrier } from '../../protocol/messages.js';
import { firstResponse } from './first-response.js';
import type { LocalLease } from '../leases/lease.js';
import { ALERTS, refuse } from './refuse.js';
import type { UnservedReason } from '../tallies.js';

/** Why a visitor left the queue; `queue_full`: a newer visitor took its place. */
export type QueueOutcome = Way['how'] | 'queue_full' | UnservedReason;

/** What serves a visitor: a data connection, or a connection to another node. */
export interface Way {
  readonly how: 'joined' | 'forwarded';
  /** Sends the visitor's bytes so far. Returns the stream for the rest. */
  start(said: readonly Buffer[], isLong: boolean): Socket;
}

/** How a visitor that has no response yet can be served again. */
export interface Again {
  /** Timeout of the response. */
  readonly ms: number;
  /** Called if the connection ends without a response. The visitor still waits. Default: the visitor's connection ends as well. */
  readonly onLost?: () => void;
}

/** A connection that has the visitor's bytes, and has not responded. */
interface Attempt {
  readonly since: number;
  readonly stream: Socket;
  /** Ends the wait for the response. */
  readonly stop: () => void;
  /** Serves the visitor with this connection, whether it responds or not. */
  readonly join: () => void;
}

/** A visitor's connection to a lease, until it is joined to a data connection. */
export class Visitor {
  lease: LocalLease;
  carrier: WireCarrier;
  /** Whether it is a CA that validates the hostname (`acme-tls/1`). */
  readonly validates: boolean;
  readonly remote: { readonly address: string; readonly port: number };
  /** Its network, as limits count it. */
  readonly network: string;
  readonly #socket: Socket;
  /** The bytes that it has sent so far. */
  readonly #said: Buffer[];
  #saidWaitingBytes = 0;
  /** Set while the rest of its bytes waits in the system. */
  #readAgain: (() => void) | undefined;
  #inTime: () => void = () => undefined;
  #onLeft: ((why: QueueOutcome) => void) | undefined;
  #attempt: Attempt | undefined;
  readonly arrivedAt = performance.now();
  /** When it last began to wait: in the queue, or for the response of a connection. */
  waitsSince = this.arrivedAt;
  /** How many connections ended without a response. */
  lost = 0;
  /** Whether a connection to another node is opened for it. */
  forwarding = false;
  /** Whether it may not be forwarded, because another node has forwarded it here. */
  readonly #isLastNode: boolean;
  /** Whether another node has forwarded it here, and counts its bytes and its end. */
  readonly isCountedElsewhere: boolean;
  /** Its place in the queue of the lease. */
  place: Place<Visitor> | undefined;
  readonly #gone = (): void => this.giveUp('disconnected');
  /** It has ended its side. Its connection gets that end. */
  readonly #ended = (): void => (this.#attempt ? this.#attempt.join() : this.#gone());
  readonly #more = (chunk: Buffer): void => {
    this.#said.push(chunk);
    this.#saidWaitingBytes += chunk.length;
    this.#attempt?.stream.write(chunk);
    if (this.#saidWaitingBytes <= LIMITS.maxWaitingBytes) return;
    if (this.#attempt) this.#attempt.join();
    // Clients of other protocols than TLS may send everything at once.
    else if (this.lease.record.kind === 'tcp') this.#readAgain = stopReading(this.#socket);
    else this.giveUp('too_many_bytes');
  };

  constructor(
    lease: LocalLease,
    carrier: WireCarrier,
    socket: Socket,
    {
      head,
      /** Of a visitor that another node forwards. */
      remote,
      validates = false,
      isLastNode = false,
    }: { head?: Buffer; remote?: Visitor['remote']; validates?: boolean; isLastNode?: boolean } = {},
  ) {
    this.validates = validates;
    this.#isLastNode = isLastNode;
    this.isCountedElsewhere = remote !== undefined;
    this.lease = lease;
    this.carrier = carrier;
    const { address, port = 0 } = clientOf(socket);
    this.remote = remote ?? { address: plainAddress(address), port };
    this.network = networkOf(this.remote.address);
    this.#socket = socket;
    this.#said = head ? [head] : [];
  }

  /** Waits in the queue of the lease for up to `ms`. Calls `onLeft` once, with the reason. */
  wait(ms: number, onLeft: (why: QueueOutcome) => void): void {
    this.#onLeft = onLeft;
    this.#inTime = deadline(ms, () => this.giveUp('timed_out'));
    // Keep reading: an unread socket fills its buffer and does not report that the peer disconnected.
    this.#socket.on('data', this.#more).once('close', this.#gone);
    // On a TCP port a visitor may end its side and wait for the response. In TLS no visitor does so this early.
    if (this.lease.record.kind === 'tls') this.#socket.once('end', this.#ended);
    this.#socket.resume();
  }

  /** Goes to the queue of another replica; false if that is full, and the visitor must leave. */
  moveTo(lease: LocalLease, max: number): boolean {
    this.lease.waiting.delete(this);
    this.lease = lease;
    this.carrier = carrierFor(lease, this.validates);
    return lease.waiting.add(this, max);
  }

  /** Leaves the queue and closes the connection. */
  giveUp(why: Exclude<QueueOutcome, Way['how']>): void {
    this.#abandon();
    this.#leaveQueue(why);
    // The relay no longer knows the name, as for visitors that arrive later.
    reject(this.lease, this.#socket, why === 'lease_ended' ? ALERTS.unrecognizedName : ALERTS.unavailable);
  }

  #unanswered({ onLost }: Again): void {
    if (onLost) return this.giveUp('unanswered');
    // The agent has the visitor, as in the middle of a connection.
    this.#abandon();
    this.#leaveQueue('unanswered');
    resetSocket(this.#socket);
  }

  /**
   * Lets `way` serve the visitor. With `again`, the visitor waits for the first response, and can be served in another way until
   * then: its bytes so far are only a ClientHello.
   */
  serve(way: Way, splices: SpliceSet, again?: Again): void {
    const { lease } = this;
    lease.waiting.delete(this);
    const stream = way.start(this.#said, lease.traffic.expectsLongVisit);
    const join = (): void => {
      this.#attempt?.stop();
      this.#attempt = undefined;
      this.#join(way.how, stream, splices);
    };
    if (!again) return join();
    this.#inTime();
    this.#inTime = deadline(again.ms, () => this.#unanswered(again));
    this.waitsSince = performance.now();
    const { isCountedElsewhere } = this;
    const counted = { bytesToA: 0, bytesToB: 0, isCountedElsewhere, close: () => this.giveUp('lease_ended') };
    lease.traffic.began(counted);
    const leave = firstResponse(stream, (hasResponded) => {
      if (hasResponded || !again.onLost) return join();
      this.#abandon();
      again.onLost();
    });
    const stop = (): void => {
      leave();
      lease.traffic.unanswered(counted);
    };
    this.#attempt = { since: this.waitsSince, stream, stop, join };
  }

  /** Waits again for up to `ms`, in no queue yet, without the connection that has not responded. */
  waitAgain(ms: number): void {
    this.#abandon();
    this.#inTime();
    this.waitsSince = performance.now();
    this.#inTime = deadline(ms, () => this.giveUp('timed_out'));
  }

  /** Stays with the connection that has its bytes, if there is one. */
  settle(): void {
    this.#attempt?.join();
  }

  /** Whether another node may serve it, and no connection to one is opened already. */
  get canBeForwarded(): boolean {
    return !this.forwarding && !this.#isLastNode;
  }

  get waits(): boolean {
    return this.#onLeft !== undefined;
  }

  /** Whether a connection has its bytes, and has not responded. */
  get isAttempted(): boolean {
    return this.#attempt !== undefined;
  }

  /** How long it waited for the connection that serves it. */
  get waitedMs(): number {
    return (this.#attempt?.since ?? performance.now()) - this.arrivedAt;
  }

  #abandon(): void {
    if (!this.#attempt) return;
    const { stop, stream } = this.#attempt;
    this.#attempt = undefined;
    this.forwarding = false;
    this.lost++;
    stop();
    resetSocket(stream);
  }

  #join(how: Way['how'], stream: Socket, splices: SpliceSet): void {
    this.#leaveQueue(how);
    const { record, rate, traffic } = this.lease;
    const joined = splices.add(this.#socket, stream, {
      sentToB: this.#said.reduce((sum, { length }) => sum + length, 0),
      owner: record.owner,
      isCountedElsewhere: this.isCountedElsewhere,
      // The other node limits what it forwards.
      rate: how === 'joined' ? rate : undefined,
      onEnd: () => traffic.ended(joined),
    });
    traffic.began(joined);
  }

  #leaveQueue(why: QueueOutcome): void {
    this.#inTime();
    this.#socket.off('data', this.#more).off('end', this.#ended).off('close', this.#gone);
    this.#readAgain?.();
    this.#socket.pause();
    this.lease.waiting.delete(this);
    this.#onLeft?.(why);
    this.#onLeft = undefined;
  }
}

/** Closes a visitor's connection: with an alert in TLS, with a reset on a TCP port. */
export function reject(lease: LocalLease, socket: Socket, alert: Buffer = ALERTS.unavailable): void {
  if (lease.record.kind === 'tls') refuse(socket, alert);
  else resetSocket(socket);
}

/** On the raw carrier, a machine on the agent's network could answer a certificate challenge for the agent's hostname. */
export function carrierFor({ record: { carrier } }: LocalLease, validates: boolean): WireCarrier {
  return carrier === 'raw' && validates ? 'tls' : carrier;
}
