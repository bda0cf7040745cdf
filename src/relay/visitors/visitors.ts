import { ACME_ALPN } from '../../certificates/acme/challenges.js';
import type { Socket } from 'node:net';
import { activeNow } from '../../lib/stalls.js';
import { resetSocket } from '../../net/splice/reset.js';
import { SpliceSet, type Drain } from '../../net/splice/splice.js';
import { LIMITS } from '../../protocol/limits.js';
import type { DataConnection } from '../data/data-connection.js';
import type { Descriptors } from '../protection/descriptors.js';
import type { LocalLease } from '../leases/lease.js';
import type { ForwardedVisitor, Link } from '../nodes/links.js';
import type { Quotas } from '../protection/quotas.js';
import type { Tallies } from '../tallies.js';
import type { UnservedCause } from './unserved.js';
import { carrierFor, reject, Visitor, type Again, type Way } from './visitor.js';

export interface VisitorLimits {
  readonly maxWaitingVisitorsPerLease: number;
  readonly visitorWaitMs: number;
  readonly firstResponseMs: number;
  readonly visitorIdleMs: number;
  readonly visitorLifetimeMs: number;
}

/** How long a visitor may wait for a data connection of a replica, or for its first response, until others get its visitors. */
const REPLICA_WAIT_MS = 1_000;
const REPLICA_RESPONSE_MS = 2_000;
/** How long connections of the session before may still respond, after its lease went to another session. */
const HANDOVER_MS = 1_000;
/** A timer may be this much early. */
const TIMER_MS = 5;
/** Pause before a visitor is served again whose connection ended without a response; as many times as that happened. */
const SERVE_AGAIN_MS = 100;

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
  /** Visitors that no data connection serves yet, including those whose connection has not responded. */
  #waiting = 0;
  /** Visitors that other nodes are about to forward here. */
  readonly #expected = new Map<LocalLease, number>();
  /** Visitors whose connection has not responded, and who can be served again. */
  readonly #unanswered = new Set<Visitor>();
  #arrivedAt = activeNow();
  #onStalled: (lease: LocalLease) => void = () => undefined;
  #leaseFor: (visitor: Visitor) => LocalLease | undefined = ({ lease }) => lease;

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

  /** Asks `leaseFor` for the lease of a visitor whose connection ended without a response; undefined: no longer any. */
  onUnanswered(leaseFor: (visitor: Visitor) => LocalLease | undefined): void {
    this.#leaseFor = leaseFor;
  }

  /**
   * Call when a lease went to another session of its agent. The network that the agent left closes no connection, so those of the
   * session before may never respond: their visitors are served again.
   */
  handedOver(lease: LocalLease): void {
    const at = performance.now();
    const left = [...this.#unanswered].filter((visitor) => visitor.lease === lease);
    if (left.length === 0) return;
    setTimeout(() => {
      for (const visitor of left)
        if (visitor.isAttempted && visitor.waitsSince <= at) this.#serveAgain(visitor);
    }, HANDOVER_MS).unref();
  }

  /** Lets another replica serve a visitor in the queue. */
  move(visitor: Visitor, lease: LocalLease): void {
    if (!visitor.moveTo(lease, this.#limits.maxWaitingVisitorsPerLease)) return visitor.giveUp('queue_full');
    this.#tallies.visitorsMoved++;
    lease.holder?.serve(lease);
  }

  /** Visitors joined to a data connection, whether it has responded or not. */
  get size(): number {
    return this.#tls.size + this.#tcp.size + this.attempted;
  }

  /** Visitors of hostnames whose data connection has not responded yet. */
  get attempted(): number {
    return this.#attempts(() => true);
  }

  /** The same, without those that another node counts. */
  get attemptedHere(): number {
    return this.#attempts(({ isCountedElsewhere }) => !isCountedElsewhere);
  }

  /** Current and past visitor connections, by kind of lease. */
  get splices(): { readonly tls: SpliceSet; readonly tcp: SpliceSet } {
    return { tls: this.#tls, tcp: this.#tcp };
  }

  /** Visitors without a data connection. */
  get waiting(): number {
    return this.#waiting - this.attempted;
  }

  /** Visitors without a data connection, and those that other nodes are about to forward here. */
  get unsettled(): number {
    return [...this.#expected.values()].reduce((sum, count) => sum + count, this.waiting);
  }

  /** Milliseconds since a visitor of a hostname arrived here, without the time in which this process did not run. */
  get quietMs(): number {
    return activeNow() - this.#arrivedAt;
  }

  /** Disconnects every visitor of an identity's leases. */
  closeOf(identity: string): void {
    this.#tls.closeOf(identity);
    this.#tcp.closeOf(identity);
    for (const visitor of this.#unanswered)
      if (visitor.lease.record.owner === identity) visitor.giveUp('lease_ended');
  }

  async drain(drain: Drain): Promise<void> {
    for (const visitor of this.#unanswered) visitor.settle();
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

  /** Call when another node is about to forward a visitor of `lease`. Call the result when that visitor is here, or will not come. */
  expect(lease: LocalLease): () => void {
    const count = (change: number): void => {
      const expected = (this.#expected.get(lease) ?? 0) + change;
      if (expected > 0) this.#expected.set(lease, expected);
      else this.#expected.delete(lease);
    };
    count(1);
    let isOver = false;
    return () => {
      if (!isOver) count(-1);
      isOver = true;
    };
  }

  /** Whether each visitor of `lease` that arrived here has a data connection, and no other node forwards one. */
  isSettled(lease: LocalLease): boolean {
    if (lease.waiting.size > 0 || this.#expected.has(lease)) return false;
    return this.#attempts((visitor) => visitor.lease === lease) === 0;
  }

  /** A visitor that another node forwards. */
  admitForwarded(lease: LocalLease, { carrier, remote }: ForwardedVisitor, socket: Socket): void {
    // The node with the session may forward it once more, to where its data connections arrive.
    const isLastNode = lease.record.node !== this.#node;
    this.#enqueue(new Visitor(lease, carrier, socket, { remote, isLastNode }), socket);
  }

  /** @param mayBeDead whether the agent may have left its network, which closes no connection */
  join(visitor: Visitor, data: DataConnection, { mayBeDead = false } = {}): void {
    this.#serve(visitor, { how: 'joined', start: (said, isLong) => data.start(said, isLong) }, mayBeDead);
  }

  /** Forwards a visitor to another node over `link`, unless it has left the queue or something else serves it by now. */
  forward(visitor: Visitor, link: Link): void {
    if (!visitor.waits || visitor.isAttempted) return link.destroy();
    const start = (said: readonly Buffer[]): Socket => {
      const stream = link.start();
      const head = Buffer.concat(said);
      if (head.length > 0) stream.write(head);
      return stream;
    };
    this.#serve(visitor, { how: 'forwarded', start });
  }

  #serve(visitor: Visitor, way: Way, mayBeDead = false): void {
    const again = this.#canServeAgain(visitor, way.how, mayBeDead);
    if (again) this.#unanswered.add(visitor);
    visitor.serve(way, this.#spliceSet(visitor), again);
  }

  /**
   * A node or a replica may fail while visitors are on their way to the agent, and an agent may return from another network: the
   * visitors are served again. On a TCP port, the service may have acted on the bytes.
   */
  #canServeAgain(visitor: Visitor, how: Way['how'], mayBeDead: boolean): Again | undefined {
    const { kind, node, replica } = visitor.lease.record;
    const isElsewhere = how === 'forwarded' || (this.#node !== undefined && node !== this.#node);
    if (kind !== 'tls') return undefined;
    const { firstResponseMs: ms } = this.#limits;
    if (isElsewhere || replica) return { ms, onLost: () => this.#serveAgain(visitor) };
    // The wait costs memory. The only agent of a lease ends a connection on purpose.
    return mayBeDead ? { ms } : undefined;
  }

  #serveAgain(visitor: Visitor): void {
    const { visitorWaitMs } = this.#limits;
    visitor.waitAgain(Math.max(0, visitorWaitMs - (performance.now() - visitor.arrivedAt)));
    setTimeout(() => {
      if (!visitor.waits || visitor.isAttempted) return;
      const lease = this.#leaseFor(visitor);
      if (lease) this.move(visitor, lease);
      else visitor.giveUp('lease_ended');
    }, SERVE_AGAIN_MS * visitor.lost).unref();
  }

  #spliceSet({ lease }: Visitor): SpliceSet {
    return lease.record.kind === 'tls' ? this.#tls : this.#tcp;
  }

  #attempts(counts: (visitor: Visitor) => boolean): number {
    let count = 0;
    for (const visitor of this.#unanswered) if (visitor.isAttempted && counts(visitor)) count++;
    return count;
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
      this.#unanswered.delete(visitor);
      clearInterval(stalls);
      const isServed = why === 'joined' || why === 'forwarded';
      if (isServed && this.#node !== undefined && visitor.lease.record.node !== this.#node)
        this.#tallies.visitorsRemote++;
      if (why === 'joined') this.#tallies.served(visitor.lease.record.kind, visitor.waitedMs);
      else if (why === 'forwarded') this.#tallies.visitorsForwarded++;
      else if (why === 'queue_full') this.#queueFull(visitor.lease);
      else this.#tallies.visitorsUnserved.add(why);
      if (why === 'timed_out' || why === 'too_many_bytes') gaveUp(visitor.lease, why);
    });
    // During the grace period there is no holder. The queue stays with the lease, and the returning session serves it.
    lease.holder?.serve(lease);
  }

  #watchForStall(visitor: Visitor): NodeJS.Timeout {
    const check = (): void => {
      const waitsMs = performance.now() - visitor.waitsSince;
      if (waitsMs < (visitor.isAttempted ? REPLICA_RESPONSE_MS : REPLICA_WAIT_MS) - TIMER_MS) return;
      this.#onStalled(visitor.lease);
      if (visitor.isAttempted && this.#leaseFor(visitor) !== visitor.lease) this.#serveAgain(visitor);
    };
    return setInterval(check, REPLICA_WAIT_MS).unref();
  }

  #queueFull(lease: LocalLease): void {
    this.#quotas.refusals.add('maxWaitingVisitorsPerLease');
    gaveUp(lease, 'queue_full');
  }
}
