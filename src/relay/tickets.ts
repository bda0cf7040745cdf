import { randomUUID } from 'node:crypto';
import type { WireCarrier } from '../protocol/messages.js';
import { nameOf, newTicket } from '../protocol/ticket.js';
import type { DataPool } from './data.js';
import type { SessionRef } from './nodes/remote-sessions.js';
import type { ShownTicket } from './shown-ticket.js';

interface Ticket {
  readonly text: string;
  readonly pool: DataPool;
  readonly carrier: WireCarrier;
  readonly connection: string;
  readonly expiresAt: number;
}

/** A data connection that did not arrive at its ticket's node, and its session. */
export interface Redeemed extends SessionRef {
  readonly connection: string;
}

/** Owns every issued ticket, by name. A ticket is valid for one data connection and for `ticketMs`. */
export class TicketBook {
  // In order of issue, and so of expiry.
  readonly #tickets = new Map<string, Ticket>();
  readonly #ticketMs: number;
  readonly #tag: string;
  readonly #timer: NodeJS.Timeout;

  /** `tag` begins the name of each ticket: by it, other nodes find the node that issued the ticket. */
  constructor(ticketMs: number, tag = '') {
    this.#tag = tag;
    this.#ticketMs = ticketMs;
    this.#timer = setInterval(() => this.#expire(), Math.min(1_000, ticketMs / 4)).unref();
  }

  get size(): number {
    return this.#tickets.size;
  }

  issue(pool: DataPool, carrier: WireCarrier): { connection: string; ticket: string } {
    const ticket = newTicket(this.#tag);
    const connection = randomUUID();
    const expiresAt = performance.now() + this.#ticketMs;
    this.#tickets.set(nameOf(ticket), { text: ticket, pool, carrier, connection, expiresAt });
    return { connection, ticket };
  }

  /** Uses the ticket if it is valid for `carrier` and proven. An unproven ticket stays valid for its agent. */
  redeem(shown: ShownTicket, carrier: WireCarrier): Ticket | undefined {
    const ticket = this.#use(shown, carrier);
    ticket?.pool.redeemed(ticket.text, carrier);
    return ticket;
  }

  /** Uses the ticket like `redeem`, for a connection that arrived at another `node`. */
  redeemFor(node: string, shown: ShownTicket, carrier: WireCarrier): Redeemed | undefined {
    const ticket = this.#use(shown, carrier);
    ticket?.pool.missed(ticket.text, carrier, node);
    return ticket && { ...ticket.pool.session, connection: ticket.connection };
  }

  #use(shown: ShownTicket, carrier: WireCarrier): Ticket | undefined {
    const ticket = this.#tickets.get(shown.name);
    if (!ticket || ticket.carrier !== carrier || ticket.expiresAt <= performance.now()) return undefined;
    if (!shown.proves(ticket.text)) return undefined;
    this.#tickets.delete(shown.name);
    return ticket;
  }

  /** Removes the tickets of a session that ended. */
  revoke(texts: Iterable<string>): void {
    for (const text of texts) this.#tickets.delete(nameOf(text));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tickets.clear();
  }

  #expire(): void {
    const now = performance.now();
    for (const [name, ticket] of this.#tickets) {
      if (ticket.expiresAt > now) break;
      this.#tickets.delete(name);
      ticket.pool.expired(ticket.text, ticket.carrier);
    }
  }
}
