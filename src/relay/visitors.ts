import { clientOf } from '../net/client-address.js';
import { ACME_ALPN } from '../certificates/acme/challenges.js';
import type { Socket } from 'node:net';
import { activeNow } from '../lib/stalls.js';
import { deadline } from '../lib/wait.js';
import type { Place } from '../lib/fair-places.js';
import { networkOf } from '../net/cidr.js';
import { resetSocket } from '../net/reset.js';
import { SpliceSet, type Drain } from '../net/splice.js';
import { LIMITS } from '../protocol/limits.js';
import type { WireCarrier } from '../protocol/messages.js';
import type { DataConnection } from './data-connection.js';
import type { Descriptors } from './descriptors.js';
import type { LocalLease } from './lease.js';
import { plainAddress } from './names.js';
import type { ForwardedVisitor } from './nodes/links.js';
import type { Quotas } from './quotas.js';
import { ALERTS, refuse } from './refuse.js';
import type { Tallies, UnservedReason } from './tallies.js';
import type { UnservedCause } from './unserved.js';

export interface VisitorLimits {
  readonly maxWaitingVisitorsPerLease: number;
  readonly visitorWaitMs: number;
  readonly firstResponseMs: number;
  readonly visitorIdleMs: number;
  readonly visitorLifetimeMs: number;
}

/** Why a visitor left the queue; `queue_full`: a newer visitor took its place. */
type QueueOutcome = 'joined' | 'forwarded' | 'queue_full' | UnservedReason;

/** How long a visitor may wait for a data connection of a replica until others get its visitors. */
const REPLICA_WAIT_MS = 1_000;

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
  #inTime: () => void = () => undefined;
  #onLeft: ((why: QueueOutcome) => void) | undefined;
  readonly arrivedAt = performance.now();
  /** Whether a connection to another node is opened for it. */
  forwarding = false;
  /** Its place in the queue of the lease. */
  place: Place<Visitor> | undefined;
  readonly #gone = (): void => this.giveUp('disconnected');
  readonly #more = (chunk: Buffer): void => {
    this.#said.push(chunk);
    this.#saidWaitingBytes += chunk.length;
    if (this.#saidWaitingBytes > LIMITS.maxWaitingBytes) this.giveUp('too_many_bytes');
  };

  constructor(
    lease: LocalLease,
    carrier: WireCarrier,
    socket: Socket,
    {
      head,
      remote,
      validates = false,
    }: { head?: Buffer; remote?: Visitor['remote']; validates?: boolean } = {},
  ) {
    this.validates = validates;
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
    if (this.lease.record.kind === 'tls') this.#socket.once('end', this.#gone);
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
  giveUp(why: Exclude<QueueOutcome, 'joined' | 'forwarded'>): void {
    this.#leaveQueue(why);
    reject(this.lease, this.#socket);
  }

  /** Joins the visitor to `data`: starts it with the bytes received so far, then forwards everything. */
  join(data: DataConnection, splices: SpliceSet): void {
    this.#leaveQueue('joined');
    const { record, rate, traffic } = this.lease;
    const joined = splices.add(this.#socket, data.start(this.#said, traffic.expectsLongVisit), {
      sentToB: this.#said.reduce((sum, { length }) => sum + length, 0),
      owner: record.owner,
      rate,
      onEnd: () => traffic.ended(joined),
    });
    traffic.began(joined);
  }

  /** Continues over `link` at another node, which sends the start byte. */
  forward(link: Socket, splices: SpliceSet): void {
    this.#leaveQueue('forwarded');
    const head = Buffer.concat(this.#said);
    if (head.length > 0) link.write(head);
    const { record, traffic } = this.lease;
    const joined = splices.add(this.#socket, link, {
      sentToB: head.length,
      owner: record.owner,
      onEnd: () => traffic.ended(joined),
    });
    traffic.began(joined);
  }

  get waits(): boolean {
    return this.#onLeft !== undefined;
  }

  #leaveQueue(why: QueueOutcome): void {
    this.#inTime();
    this.#socket.off('data', this.#more).off('end', this.#gone).off('close', this.#gone);
    this.#socket.pause();
    this.lease.waiting.delete(this);
    this.#onLeft?.(why);
    this.#onLeft = undefined;
  }
}

/** Closes a visitor's connection: with an alert in TLS, with a reset on a TCP port. */
function reject(lease: LocalLease, socket: Socket): void {
  if (lease.record.kind === 'tls') refuse(socket, ALERTS.unavailable);
  else resetSocket(socket);
}

/** On the raw carrier, a machine on the agent's network could answer a certificate challenge for the agent's hostname. */
function carrierFor({ record: { carrier } }: LocalLease, validates: boolean): WireCarrier {
  return carrier === 'raw' && validates ? 'tls' : carrier;
}

function gaveUp(lease: LocalLease, reason: UnservedCause): void {
  lease.unserved.add(reason);
  lease.holder?.gaveUp(lease);
}

interface GateParts {
  readonly quotas: Quotas;
  readonly tallies: Tallies;
  readonly descriptors: Descriptors;
  /** The name of this node. Default: the relay has one node. */
  readonly node?: string | undefined;
}

/** Joins each visitor to an idle data connection, or adds it to a queue of limited length. */
export class VisitorGate {
  readonly #limits: VisitorLimits;
  readonly #quotas: Quotas;
  readonly #tallies: Tallies;
  readonly #descriptors: Descriptors;
  readonly #node: string | undefined;
  readonly #tls: SpliceSet;
  /** No timeout for the first response: on a TCP port that depends on the protocol. */
  readonly #tcp: SpliceSet;
  #waiting = 0;
  #arrivedAt = activeNow();
  #onStalled: (lease: LocalLease) => void = () => undefined;

  constructor(limits: VisitorLimits, { quotas, tallies, descriptors, node }: GateParts) {
    this.#limits = limits;
    this.#node = node;
    this.#descriptors = descriptors;
    this.#tallies = tallies;
    this.#quotas = quotas;
    const splices = {
      idleMs: limits.visitorIdleMs,
      halfClosedMs: LIMITS.halfClosedMs,
      lifetimeMs: limits.visitorLifetimeMs,
    };
    this.#tls = new SpliceSet({ ...splices, firstResponseMs: limits.firstResponseMs });
    this.#tcp = new SpliceSet({ ...splices, firstResponseMs: 0 });
  }

  /** Calls `listener` with a replica for which a visitor waits long. */
  onStalled(listener: (lease: LocalLease) => void): void {
    this.#onStalled = listener;
  }

  /** Lets another replica serve a visitor in the queue. */
  move(visitor: Visitor, lease: LocalLease): void {
    if (!visitor.moveTo(lease, this.#limits.maxWaitingVisitorsPerLease)) return visitor.giveUp('queue_full');
    this.#tallies.visitorsMoved++;
    lease.holder?.serve(lease);
  }

  /** Visitors joined to a data connection. */
  get size(): number {
    return this.#tls.size + this.#tcp.size;
  }

  /** Current and past visitor connections, by kind of lease. */
  get splices(): { readonly tls: SpliceSet; readonly tcp: SpliceSet } {
    return { tls: this.#tls, tcp: this.#tcp };
  }

  /** Visitors in the queue. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Milliseconds since a visitor of a hostname arrived here, without the time in which this process did not run. */
  get quietMs(): number {
    return activeNow() - this.#arrivedAt;
  }

  /** Disconnects every visitor of an identity's leases. */
  closeOf(identity: string): void {
    this.#tls.closeOf(identity);
    this.#tcp.closeOf(identity);
  }

  async drain(drain: Drain): Promise<void> {
    await Promise.all([this.#tls.drain(drain), this.#tcp.drain(drain)]);
  }

  /** A visitor of a hostname, whose ClientHello is `head`. */
  admit(lease: LocalLease, socket: Socket, hello: { alpn: readonly string[] }, head: Buffer): void {
    this.#arrivedAt = activeNow();
    const validates = hello.alpn.includes(ACME_ALPN);
    this.#enqueue(new Visitor(lease, carrierFor(lease, validates), socket, { head, validates }), socket);
  }

  /** A visitor of a lease's own port. */
  admitToPort(lease: LocalLease, socket: Socket): void {
    this.#enqueue(new Visitor(lease, lease.record.carrier, socket), socket);
  }

  /** A visitor that another node forwards. */
  admitForwarded(lease: LocalLease, { carrier, remote }: ForwardedVisitor, socket: Socket): void {
    this.#enqueue(new Visitor(lease, carrier, socket, { remote }), socket);
  }

  join(visitor: Visitor, data: DataConnection): void {
    visitor.join(data, this.#spliceSet(visitor));
  }

  /** Forwards a visitor to another node over `link`, unless it has left the queue. */
  forward(visitor: Visitor, link: Socket): void {
    if (visitor.waits) visitor.forward(link, this.#spliceSet(visitor));
    else link.destroy();
  }

  #spliceSet({ lease }: Visitor): SpliceSet {
    return lease.record.kind === 'tls' ? this.#tls : this.#tcp;
  }

  #enqueue(visitor: Visitor, socket: Socket): void {
    const { lease } = visitor;
    // An alert would need the descriptor until the visitor reads it.
    if (!this.#descriptors.admitsVisitor(socket, this.#waiting)) return resetSocket(socket);
    if (!lease.waiting.add(visitor, this.#limits.maxWaitingVisitorsPerLease)) {
      this.#queueFull(lease);
      return reject(lease, socket);
    }
    if (!this.#quotas.visitor(lease.record.owner, socket)) {
      lease.waiting.delete(visitor);
      gaveUp(lease, 'visitor_limit');
      return reject(lease, socket);
    }
    this.#waiting++;
    const stalls = lease.record.replica && this.#watchForStall(visitor);
    visitor.wait(this.#limits.visitorWaitMs, (why) => {
      this.#waiting--;
      clearInterval(stalls);
      const isServed = why === 'joined' || why === 'forwarded';
      if (isServed && this.#node !== undefined && visitor.lease.record.node !== this.#node)
        this.#tallies.visitorsRemote++;
      if (why === 'joined')
        this.#tallies.served(visitor.lease.record.kind, performance.now() - visitor.arrivedAt);
      else if (why === 'forwarded') this.#tallies.visitorsForwarded++;
      else if (why === 'queue_full') this.#queueFull(visitor.lease);
      else this.#tallies.visitorsUnserved.add(why);
      if (why === 'timed_out' || why === 'too_many_bytes') gaveUp(visitor.lease, why);
    });
    // During the grace period there is no holder. The queue stays with the lease, and the returning session serves it.
    lease.holder?.serve(lease);
  }

  #watchForStall(visitor: Visitor): NodeJS.Timeout {
    return setInterval(() => this.#onStalled(visitor.lease), REPLICA_WAIT_MS).unref();
  }

  #queueFull(lease: LocalLease): void {
    this.#quotas.refusals.add('maxWaitingVisitorsPerLease');
    gaveUp(lease, 'queue_full');
  }
}
