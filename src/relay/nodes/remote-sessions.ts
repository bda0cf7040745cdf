import { delay, within } from '../../lib/wait.js';
import { DataPool } from '../data/data.js';
import type { LeaseRecord } from '../directory/record.js';
import type { LeaseHolder, LocalLease } from '../leases/lease.js';
import type { DataTickets } from '../tickets/data-tickets.js';
import type { VisitorGate } from '../visitors/visitors.js';
import type { Forwarding } from './forwarding.js';
import { ask, askWithin, type Nodes } from './nodes.js';

/** A session of any node. */
export interface SessionRef {
  readonly node: string;
  readonly session: string;
}

export interface RemoteSessionsOptions {
  readonly nodes: Nodes;
  readonly tickets: DataTickets;
  readonly gate: Pick<VisitorGate, 'join'>;
  readonly idleDataConnectionMs: number;
  readonly silentDataMs: number;
  /** How long to wait until another node has closed a port. */
  readonly freePortMs: number;
  /** Undefined if nodes cannot connect to each other. */
  readonly forwarding: Forwarding | undefined;
}

/** Sessions that ended and are remembered. */
const MAX_ENDED = 4_096;

/** Pause before the visitors of a lease that no data connection can reach are forwarded again. */
const FORWARD_AGAIN_MS = 100;

/** How much longer than a ping its report from another node may take. */
const REPORT_MS = 1_000;

/**
 * A session of another node. The data connections for visitors of this node are in a pool here; only the messages to the
 * agent pass through the other node.
 */
class RemoteSession implements LeaseHolder {
  readonly id: string;
  readonly node: string;
  readonly pool: DataPool;
  /** No lease of another node has a public port here. */
  readonly datagrams = undefined;
  readonly #nodes: Nodes;
  readonly #options: RemoteSessionsOptions;
  readonly #forwards: () => boolean;
  /** Leases whose visitors are forwarded again in a moment. */
  readonly #later = new Set<LocalLease>();

  /** `forwards`: whether data connections arrive at other nodes only. */
  constructor({ node, session }: SessionRef, options: RemoteSessionsOptions, forwards: () => boolean) {
    this.id = session;
    this.node = node;
    this.#nodes = options.nodes;
    this.#options = options;
    this.#forwards = forwards;
    this.pool = new DataPool({
      ...options,
      session: { node, session },
      send: (message) => this.#nodes.tell(node, 'send', session, message),
      ...(options.forwarding && { onStarved: (lease, to) => this.#forwardAll(lease, to) }),
    });
  }

  async alive(ms: number): Promise<boolean> {
    const pong = this.#nodes.call(this.node, 'alive', this.id, ms);
    return within(pong, ms + REPORT_MS, `the report of node ${this.node}`).then(
      (isAlive) => isAlive === true,
      () => false,
    );
  }

  revoked(lease: LocalLease): void {
    this.pool.forget(lease);
  }

  serve(lease: LocalLease): void {
    this.pool.serve(lease);
    if (this.#forwards()) this.#forwardAll(lease);
  }

  gaveUp({ record, unserved }: LocalLease): void {
    for (const [reason, count] of unserved.take())
      this.#nodes.tell(this.node, 'gaveUp', record.place, reason, count);
  }

  /** Forwards the visitors of a lease to the node where data connections arrive, else to the node with this session. */
  #forwardAll(lease: LocalLease, to = this.node): void {
    this.#options.forwarding?.forwardAll(lease, [...new Set([to, this.node])], (carrier) => {
      this.pool.forwardFailed(carrier);
      if (this.#forwards()) this.#forwardLater(lease);
    });
  }

  /** The other node may not have opened the lease yet, or this one may not have heard who has it now. */
  #forwardLater(lease: LocalLease): void {
    if (this.#later.has(lease)) return;
    this.#later.add(lease);
    setTimeout(() => {
      this.#later.delete(lease);
      if (lease.waiting.size > 0) lease.holder?.serve(lease);
    }, FORWARD_AGAIN_MS).unref();
  }
}

/** Owns what this node has of sessions of other nodes. */
export class RemoteSessions {
  readonly #options: RemoteSessionsOptions;
  readonly #sessions = new Map<string, RemoteSession>();
  /** Ids of sessions whose end was reported: a record of the directory may still name them. */
  readonly #ended = new Set<string>();
  #onEnd: ((session: LeaseHolder) => void) | undefined;
  #forwardsOnly = false;

  constructor(options: RemoteSessionsOptions) {
    this.#options = options;
    options.nodes.onLeft((node) => {
      // A copy: visitors of an ended session may need another session of the same node.
      const own = [...this.#sessions.values()].filter((session) => session.node === node);
      for (const session of own) this.#end(session);
    });
  }

  /** Call when this node stops: data connections will arrive at other nodes only, so its visitors are forwarded there. */
  forwardOnly(): void {
    this.#forwardsOnly = true;
  }

  /** Whether data connections arrive at other nodes only. */
  get forwardsOnly(): boolean {
    return this.#forwardsOnly;
  }

  /** Calls `listener` when a session ends. */
  onEnd(listener: (session: LeaseHolder) => void): void {
    this.#onEnd = listener;
  }

  /** What serves visitors for the session here; undefined if it or its node has ended. */
  of(ref: SessionRef): RemoteSession | undefined {
    if (this.#ended.has(ref.session) || ![...this.#options.nodes.others].includes(ref.node)) return undefined;
    let session = this.#sessions.get(ref.session);
    if (!session) {
      session = new RemoteSession(ref, this.#options, () => this.#forwardsOnly);
      this.#sessions.set(ref.session, session);
    }
    return session;
  }

  /** Call when the other node reports that a session ended. */
  end(id: string): void {
    this.#ended.add(id);
    for (const oldest of this.#ended) {
      if (this.#ended.size <= MAX_ENDED) break;
      this.#ended.delete(oldest);
    }
    const session = this.#sessions.get(id);
    if (session) this.#end(session);
  }

  /**
   * Call when this node no longer has a lease. Resolves once no other node sends its session another visit: each has heard that,
   * and what it sent before has arrived. Resolves after `ms` in any case, since a node may not respond. Visitors at a node that
   * responds may wait for data connections for up to `waitMs`.
   */
  async noMoreVisits(
    { place, epoch }: Pick<LeaseRecord, 'place' | 'epoch'>,
    ms: number,
    waitMs?: number,
  ): Promise<void> {
    const { nodes } = this.#options;
    const over = new AbortController();
    const heard = async (node: string): Promise<void> => {
      const asked = nodes.call(node, 'heard', place, epoch);
      // A node that fails while it runs may still send a visit.
      await asked.catch(() => ([...nodes.others].includes(node) ? delay(ms, over.signal) : undefined));
      if (waitMs !== undefined) settling.push(settled(node, waitMs));
    };
    // A node of an older version rejects these visitors when it hears of the change.
    const settled = async (node: string, leftMs: number): Promise<void> => {
      await askWithin(leftMs + REPORT_MS, nodes, node, 'settled', place, epoch, leftMs);
    };
    const settling: Promise<void>[] = [];
    await within(Promise.all([...nodes.others].map(heard)), ms, 'what others heard').catch(() => undefined);
    over.abort();
    await Promise.all(settling);
  }

  /** Waits until another node has closed the public port of a lease that this node claimed, or has ended. */
  async freePort(node: string, place: string, epoch: number): Promise<void> {
    const { nodes, freePortMs } = this.#options;
    await askWithin(freePortMs, nodes, node, 'freePort', place, epoch);
  }

  /** Tells the nodes that have visitors of the lease to disconnect them. */
  cut({ record: { place } }: LocalLease): void {
    for (const node of this.#options.nodes.others) this.#options.nodes.tell(node, 'cut', place);
  }

  /** Ends a lease of another node if no agent serves it. */
  async drop(node: string, place: string): Promise<void> {
    await ask(this.#options.nodes, node, 'drop', place);
  }

  close(): void {
    for (const { pool } of this.#sessions.values()) pool.close();
    this.#sessions.clear();
  }

  #end(session: RemoteSession): void {
    this.#sessions.delete(session.id);
    session.pool.close();
    this.#onEnd?.(session);
  }
}
