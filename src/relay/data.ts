import { randomBytes, randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { LIMITS } from '../protocol/limits.js';
import type { FromRelay, WireCarrier } from '../protocol/messages.js';
import type { Lease } from './leases.js';
import type { Visitor, VisitorGate } from './visitors.js';

/** Data connections: the tickets they come with, and each session's pool of idle ones. */

interface Ticket {
  readonly pool: DataPool;
  readonly carrier: WireCarrier;
  readonly connection: string;
  readonly expiresAt: number;
}

/** Owns every ticket that is out. A ticket is 192 random bits, good for one data connection and `ticketMs`. */
export class TicketBook {
  // In order of issue, and so of expiry.
  readonly #tickets = new Map<string, Ticket>();
  readonly #ticketMs: number;
  readonly #timer: NodeJS.Timeout;

  constructor(ticketMs: number) {
    this.#ticketMs = ticketMs;
    this.#timer = setInterval(() => this.#expire(), Math.min(1_000, ticketMs / 4)).unref();
  }

  get size(): number {
    return this.#tickets.size;
  }

  issue(pool: DataPool, carrier: WireCarrier): { connection: string; ticket: string } {
    const ticket = randomBytes(24).toString('base64url');
    const connection = randomUUID();
    this.#tickets.set(ticket, { pool, carrier, connection, expiresAt: Date.now() + this.#ticketMs });
    return { connection, ticket };
  }

  /** The ticket, if it is good for `carrier`. Asking uses it up. */
  redeem(text: string, carrier: WireCarrier): Ticket | undefined {
    const ticket = this.#tickets.get(text);
    if (!ticket || ticket.carrier !== carrier || ticket.expiresAt <= Date.now()) return undefined;
    this.#tickets.delete(text);
    return ticket;
  }

  /** Tickets of a session that ended are worth nothing. */
  revoke(pool: DataPool): void {
    for (const [text, ticket] of this.#tickets) if (ticket.pool === pool) this.#tickets.delete(text);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tickets.clear();
  }

  #expire(): void {
    const now = Date.now();
    for (const [text, ticket] of this.#tickets) {
      if (ticket.expiresAt > now) break;
      this.#tickets.delete(text);
      ticket.pool.expired(ticket.carrier);
    }
  }
}

interface IdleConnection {
  readonly id: string;
  readonly socket: Socket;
  readonly forget: () => void;
}

/** One carrier's share of a pool. */
interface Lane {
  readonly carrier: WireCarrier;
  idle: IdleConnection[];
  /** Tickets that are out. */
  dialled: number;
  /** How many idle ones to keep ready beyond those that visitors wait for. */
  spare: number;
}

const MIN_SPARE = 2;
/** Without a visitor who had to wait for this long, the spare is halved. */
const SPARE_DECAY_MS = 30_000;

export interface DataPoolOptions {
  readonly tickets: TicketBook;
  readonly gate: VisitorGate;
  readonly send: (message: FromRelay<'dial' | 'visit'>) => void;
  readonly idleDataConnectionMs: number;
}

/**
 * The data connections of one session. The relay sees the demand, so how many are kept ready is decided here
 * alone: two to begin with; twice as many each time a visitor found none, down again when that stops.
 */
export class DataPool {
  readonly #options: DataPoolOptions;
  readonly #lanes = new Map<WireCarrier, Lane>();
  /** Leases with visitors in line, in the order in which they are served next. */
  readonly #hungry = new Set<Lease>();
  readonly #decay: NodeJS.Timeout;
  #closed = false;

  constructor(options: DataPoolOptions) {
    this.#options = options;
    this.#decay = setInterval(() => this.#shrink(), SPARE_DECAY_MS).unref();
  }

  get idle(): number {
    let count = 0;
    for (const lane of this.#lanes.values()) count += lane.idle.length;
    return count;
  }

  /** A lease was opened: have connections ready before its first visitor. */
  warm(carrier: WireCarrier): void {
    this.#dial(this.#lane(carrier));
  }

  /** Visitors wait for `lease`. */
  serve(lease: Lease): void {
    this.#hungry.add(lease);
    const lanes = new Set<Lane>();
    for (const visitor of lease.waiting) {
      const lane = this.#lane(visitor.carrier);
      const connection = lane.idle.pop();
      if (connection) {
        connection.forget();
        this.#start(visitor, connection.id, connection.socket);
      }
      lanes.add(lane);
    }
    if (lease.waiting.size === 0) this.#hungry.delete(lease);
    for (const lane of lanes) {
      if (this.#inLine(lane.carrier) > 0)
        lane.spare = Math.min(lane.spare * 2, LIMITS.maxIdleDataConnections);
      this.#dial(lane);
    }
  }

  /** A data connection arrived with a good ticket. */
  accept(id: string, carrier: WireCarrier, socket: Socket): void {
    const lane = this.#lane(carrier);
    lane.dialled--;
    if (this.#closed) {
      socket.destroy();
      return;
    }
    const visitor = this.#nextVisitor(carrier);
    if (visitor) this.#start(visitor, id, socket);
    else this.#keep(lane, id, socket);
  }

  /** A ticket was never used. */
  expired(carrier: WireCarrier): void {
    const lane = this.#lane(carrier);
    lane.dialled--;
    this.#dial(lane);
  }

  /** Idle connections end with their session; those that carry a visitor live on. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#decay);
    this.#options.tickets.revoke(this);
    for (const lane of this.#lanes.values()) {
      for (const { socket, forget } of lane.idle) {
        forget();
        socket.destroy();
      }
      lane.idle = [];
    }
    this.#hungry.clear();
  }

  #lane(carrier: WireCarrier): Lane {
    let lane = this.#lanes.get(carrier);
    if (!lane) {
      lane = { carrier, idle: [], dialled: 0, spare: MIN_SPARE };
      this.#lanes.set(carrier, lane);
    }
    return lane;
  }

  #inLine(carrier: WireCarrier): number {
    let count = 0;
    for (const lease of this.#hungry) {
      for (const visitor of lease.waiting) if (visitor.carrier === carrier) count++;
    }
    return count;
  }

  /** First in line of the lease whose turn it is; the lease goes to the end of the round. */
  #nextVisitor(carrier: WireCarrier): Visitor | undefined {
    for (const lease of this.#hungry) {
      if (lease.waiting.size === 0) {
        this.#hungry.delete(lease);
        continue;
      }
      for (const visitor of lease.waiting) {
        if (visitor.carrier !== carrier) continue;
        this.#hungry.delete(lease);
        this.#hungry.add(lease);
        return visitor;
      }
    }
    return undefined;
  }

  #start(visitor: Visitor, connection: string, socket: Socket): void {
    const { lease, remote, serverName } = visitor;
    this.#options.send({ type: 'visit', connection, lease: lease.id, remote, serverName });
    visitor.join(socket, this.#options.gate.splices, () => undefined);
  }

  #keep(lane: Lane, id: string, socket: Socket): void {
    const lose = (): void => {
      connection.forget();
      lane.idle = lane.idle.filter((other) => other !== connection);
      socket.destroy();
      this.#dial(lane);
    };
    const retire = setTimeout(lose, this.#options.idleDataConnectionMs);
    // An agent says nothing before the start byte; one that does is not speaking this protocol.
    socket.on('data', lose);
    socket.on('end', lose);
    socket.on('close', lose);
    const connection: IdleConnection = {
      id,
      socket,
      forget: () => {
        clearTimeout(retire);
        socket.off('data', lose).off('end', lose).off('close', lose);
        socket.pause();
      },
    };
    lane.idle.push(connection);
  }

  #dial(lane: Lane): void {
    if (this.#closed) return;
    const want = this.#inLine(lane.carrier) + lane.spare - lane.idle.length - lane.dialled;
    const count = Math.min(want, LIMITS.maxTicketsPerDial);
    if (count <= 0) return;
    lane.dialled += count;
    const tickets = Array.from({ length: count }, () => this.#options.tickets.issue(this, lane.carrier));
    this.#options.send({ type: 'dial', carrier: lane.carrier, tickets });
  }

  #shrink(): void {
    for (const lane of this.#lanes.values()) lane.spare = Math.max(MIN_SPARE, Math.floor(lane.spare / 2));
  }
}
