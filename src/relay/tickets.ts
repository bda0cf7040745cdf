import { randomUUID } from 'node:crypto';
import type { WireCarrier } from '../protocol/messages.js';
import { nameOf, newTicket } from '../protocol/ticket.js';
import type { DataPool } from './data.js';
import type { ShownTicket } from './shown-ticket.js';

interface Ticket {
  readonly text: string;
  readonly pool: DataPool;
  readonly carrier: WireCarrier;
  readonly connection: string;
  readonly expiresAt: number;
}

/** Owns every issued ticket, by name. A ticket is valid for one data connection and for `ticketMs`. */
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
    const ticket = newTicket();
    const connection = randomUUID();
    const expiresAt = performance.now() + this.#ticketMs;
    this.#tickets.set(nameOf(ticket), { text: ticket, pool, carrier, connection, expiresAt });
    return { connection, ticket };
  }

  /** Uses the ticket if it is valid for `carrier` and proven. An unproven ticket stays valid for its agent. */
  redeem(shown: ShownTicket, carrier: WireCarrier): Ticket | undefined {
    const ticket = this.#tickets.get(shown.name);
    if (!ticket || ticket.carrier !== carrier || ticket.expiresAt <= performance.now()) return undefined;
    if (!shown.proves(ticket.text)) return undefined;
    this.#tickets.delete(shown.name);
    ticket.pool.redeemed(ticket.text, carrier);
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
