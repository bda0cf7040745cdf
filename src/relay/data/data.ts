import { activeNow } from '../../lib/stalls.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromRelay, WireCarrier } from '../../protocol/messages.js';
import type { DataConnection } from './data-connection.js';
import { KeptConnections } from './kept-connections.js';
import { PoolSize } from './pool-size.js';
import type { LocalLease } from '../leases/lease.js';
import type { SessionRef } from '../nodes/remote-sessions.js';
import type { DataTickets } from '../tickets/data-tickets.js';
import type { Visitor } from '../visitors/visitor.js';
import type { VisitorGate } from '../visitors/visitors.js';

interface IdleConnection {
  readonly id: string;
  readonly data: DataConnection;
  readonly forget: () => void;
}

/** The data connections of one carrier. */
interface Lane {
  readonly carrier: WireCarrier;
  /** Oldest first. The newest is used first, so that surplus connections of a burst grow old and close. */
  readonly idle: IdleConnection[];
  /** Tickets issued and not used yet. */
  readonly tickets: Set<string>;
  /** Leases with waiting visitors, in the order in which they are served. */
  readonly hungry: Set<LocalLease>;
  readonly size: PoolSize;
  /** Set during a pause, in which the relay requests no idle connections because the agent lost those it had. */
  redial: NodeJS.Timeout | undefined;
  redialMs: number;
  /** Where the last connection arrived that another node took. */
  missedTo: string | undefined;
}

const aheadOf = ({ idle, tickets }: Lane): number => idle.length + tickets.size;

/** The pool shrinks by half when no visitor had to wait for this long. */
const SPARE_DECAY_MS = 30_000;

export interface DataPoolOptions {
  readonly session: SessionRef;
  readonly tickets: DataTickets;
  readonly gate: Pick<VisitorGate, 'join'>;
  readonly send: (message: FromRelay<'dial' | 'visit'>) => void;
  readonly idleDataConnectionMs: number;
  /** After this long without a new connection, the idle ones may be dead: the agent may have left its network. */
  readonly silentDataMs: number;
  /** Called for a lease whose visitors wait, while their connections arrive at other nodes, the last one at `node`. */
  readonly onStarved?: (lease: LocalLease, node: string) => void;
}

/**
 * Owns the data connections of one session, including its idle pool. Visitors that wait for a returning agent do not count for
 * its size, since the agent already has to open a connection for each.
 */
export class DataPool {
  readonly #options: DataPoolOptions;
  readonly #lanes = new Map<WireCarrier, Lane>();
  readonly #decay: NodeJS.Timeout;
  /** Lanes that may need connections for the visitors of this turn. */
  readonly #due = new Set<Lane>();
  #dialling: NodeJS.Immediate | undefined;
  /** Connections that can serve another visitor once the agent shows a ticket. */
  readonly #kept: KeptConnections;
  /** When the agent last opened a connection, or showed a ticket on one. */
  #heardAt = activeNow();
  #closed = false;

  constructor(options: DataPoolOptions) {
    this.#options = options;
    this.#kept = new KeptConnections(options.idleDataConnectionMs);
    this.#decay = setInterval(() => this.#shrink(), SPARE_DECAY_MS).unref();
  }

  /** Call when a lease opens: requests idle connections before its first visitor arrives. */
  warm(carrier: WireCarrier): void {
    this.#dial(this.#lane(carrier));
  }

  /** The session whose data connections these are. */
  get session(): SessionRef {
    return this.#options.session;
  }

  /** Call when visitors wait for `lease`. */
  serve(lease: LocalLease): void {
    for (const carrier of lease.waiting.carriers) {
      const lane = this.#lane(carrier);
      lane.size.visited();
      for (let visitor = lease.waiting.first(carrier); visitor; visitor = lease.waiting.first(carrier)) {
        const connection = lane.idle.pop();
        if (!connection) break;
        connection.forget();
        lane.redialMs = LIMITS.minRedialMs;
        this.#start(visitor, connection.id, connection.data);
      }
      if (lease.waiting.count(carrier) > 0) {
        lane.hungry.add(lease);
        lane.size.grow();
      }
      if (lane.size.isLost) {
        this.#dial(lane);
        this.#starved(lane, lease);
      } else this.#dialSoon(lane);
    }
  }

  /** Call when another node did not take a visitor, so that visitors need connections here. */
  forwardFailed(carrier: WireCarrier): void {
    const lane = this.#lane(carrier);
    lane.size.forwardFailed();
    this.#dialSoon(lane);
  }

  /** Call when the lease goes to another session, which serves its visitors from now on. */
  forget(lease: LocalLease): void {
    for (const lane of this.#lanes.values()) lane.hungry.delete(lease);
  }

  /** Call when a ticket is used: its connection arrives next. */
  redeemed(ticket: string, carrier: WireCarrier): void {
    this.#lane(carrier).tickets.delete(ticket);
    this.#heardAt = activeNow();
  }

  /** Call when the connection for a ticket of this pool arrived at another `node`, which keeps it. */
  missed(ticket: string, carrier: WireCarrier, node: string): void {
    const lane = this.#lane(carrier);
    lane.tickets.delete(ticket);
    lane.missedTo = node;
    if (lane.size.missed()) this.#pause(lane);
    if (lane.size.isStarved) for (const hungry of lane.hungry) this.#starved(lane, hungry);
    if (!lane.size.isLost) this.#dialSoon(lane);
  }

  /** Takes a data connection that arrived with a valid ticket of this pool. */
  accept(id: string, carrier: WireCarrier, data: DataConnection): void {
    const lane = this.#lane(carrier);
    this.#heardAt = activeNow();
    lane.size.arrived();
    this.#take(lane, id, data);
  }

  /** Takes a data connection that arrived with a ticket of another node. Closes it if neither visitors nor the idle pool need it. */
  acceptStray(id: string, carrier: WireCarrier, data: DataConnection): void {
    const lane = this.#lane(carrier);
    if (lane.hungry.size === 0 && lane.idle.length >= lane.size.mostWithStrays) data.destroy();
    else this.#take(lane, id, data);
  }

  /** Call when a ticket expires unused. */
  expired(ticket: string, carrier: WireCarrier): void {
    const lane = this.#lane(carrier);
    lane.tickets.delete(ticket);
    this.#dial(lane);
  }

  /** Closes idle connections. Connections of visitors continue. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#decay);
    clearImmediate(this.#dialling);
    for (const lane of this.#lanes.values()) {
      clearTimeout(lane.redial);
      this.#options.tickets.revoke(lane.tickets);
      for (const { data, forget } of lane.idle) {
        forget();
        data.destroy();
      }
    }
    this.#lanes.clear();
    this.#kept.close();
  }

  #take(lane: Lane, id: string, data: DataConnection): void {
    if (this.#closed || data.isClosed || !data.belongTo(this.#kept)) {
      data.destroy();
      return this.#dialSoon(lane);
    }
    lane.size.took();
    const visitor = this.#nextVisitor(lane);
    if (visitor) this.#start(visitor, id, data);
    else this.#keep(lane, id, data);
  }

  #lane(carrier: WireCarrier): Lane {
    let lane = this.#lanes.get(carrier);
    if (!lane) {
      lane = {
        carrier,
        idle: [],
        tickets: new Set(),
        hungry: new Set(),
        size: new PoolSize({ canForward: this.#options.onStarved !== undefined }),
        redial: undefined,
        redialMs: LIMITS.minRedialMs,
        missedTo: undefined,
      };
      this.#lanes.set(carrier, lane);
    }
    return lane;
  }

  #inLine({ carrier, hungry }: Lane): number {
    let count = 0;
    for (const lease of hungry) {
      const waiting = lease.waiting.count(carrier);
      if (waiting === 0) hungry.delete(lease);
      count += waiting;
    }
    return count;
  }

  /** The first visitor of the lease whose turn it is. That lease moves to the end of the round. */
  #nextVisitor({ carrier, hungry }: Lane): Visitor | undefined {
    for (const lease of hungry) {
      hungry.delete(lease);
      const visitor = lease.waiting.first(carrier);
      if (!visitor) continue;
      hungry.add(lease);
      return visitor;
    }
    return undefined;
  }

  #start(visitor: Visitor, connection: string, data: DataConnection): void {
    const { lease, remote } = visitor;
    this.#options.send({ type: 'visit', connection, lease: lease.record.id, remote });
    const mayBeDead = activeNow() - this.#heardAt > this.#options.silentDataMs;
    this.#options.gate.join(visitor, data, { mayBeDead });
  }

  #keep(lane: Lane, id: string, data: DataConnection): void {
    const drop = (): void => {
      connection.forget();
      lane.idle.splice(lane.idle.indexOf(connection), 1);
      data.destroy();
    };
    const retire = setTimeout(() => {
      drop();
      lane.redialMs = LIMITS.minRedialMs;
      this.#dial(lane);
    }, this.#options.idleDataConnectionMs);
    const stopWatching = data.watch(() => {
      drop();
      this.#pause(lane);
      this.#dial(lane);
    });
    const connection: IdleConnection = {
      id,
      data,
      forget: () => {
        clearTimeout(retire);
        stopWatching();
      },
    };
    lane.idle.push(connection);
  }

  /**
   * Requests no idle connections for a while, longer each time in a row: an agent or network that drops them must not keep
   * both ends busy. Waiting visitors still get connections.
   */
  #pause(lane: Lane): void {
    if (lane.redial) return;
    lane.redial = setTimeout(() => {
      lane.redial = undefined;
      this.#dial(lane);
    }, lane.redialMs).unref();
    lane.redialMs = Math.min(lane.redialMs * 2, LIMITS.maxRedialMs);
  }

  /** Sends one message for all visitors of a turn: one message each would cost more than the connections. */
  #dialSoon(lane: Lane): void {
    this.#due.add(lane);
    this.#dialling ??= setImmediate(() => {
      this.#dialling = undefined;
      for (const each of this.#due) this.#dial(each);
      this.#due.clear();
    });
  }

  #dial(lane: Lane): void {
    if (this.#closed) return;
    const waiting = this.#inLine(lane);
    const want = lane.size.wanted({ waiting, ahead: aheadOf(lane), isPaused: lane.redial !== undefined });
    if (want === 0) return;
    let room = LIMITS.maxDataConnectionsAhead;
    for (const each of this.#lanes.values()) room -= aheadOf(each);
    for (let left = Math.min(want, room); left > 0; left -= LIMITS.maxTicketsPerDial) {
      const length = Math.min(left, LIMITS.maxTicketsPerDial);
      const tickets = Array.from({ length }, () => this.#options.tickets.issue(this, lane.carrier));
      for (const { ticket } of tickets) lane.tickets.add(ticket);
      this.#options.send({ type: 'dial', carrier: lane.carrier, tickets });
    }
  }

  /** The connections for the visitors of a lease arrive at other nodes. */
  #starved({ carrier, missedTo }: Lane, lease: LocalLease): void {
    if (missedTo !== undefined && lease.waiting.count(carrier) > 0)
      this.#options.onStarved?.(lease, missedTo);
  }

  #shrink(): void {
    for (const lane of this.#lanes.values()) lane.size.shrink();
  }
}
