import { randomBytes, randomUUID } from 'node:crypto';
import type { WireCarrier } from '../protocol/messages.js';
import type { DataPool } from './data.js';

interface Ticket {
  readonly pool: DataPool;
  readonly carrier: WireCarrier;
  readonly connection: string;
  readonly expiresAt: number;
  /** Shown on another carrier, and so no secret any more. */
  spoiled: boolean;
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
    const expiresAt = performance.now() + this.#ticketMs;
    this.#tickets.set(ticket, { pool, carrier, connection, expiresAt, spoiled: false });
    return { connection, ticket };
  }

  /** The ticket, if it is good for `carrier`. Asking uses it up, whatever the answer. */
  redeem(text: string, carrier: WireCarrier): Ticket | undefined {
    const ticket = this.#tickets.get(text);
    if (!ticket || ticket.spoiled || ticket.expiresAt <= performance.now()) return undefined;
    if (ticket.carrier !== carrier) {
      // It stays out until it expires, so that an agent that spoils its tickets only slows itself.
      ticket.spoiled = true;
      return undefined;
    }
    this.#tickets.delete(text);
    ticket.pool.redeemed(text, carrier);
    return ticket;
  }

  /** Tickets of a session that ended are worth nothing. */
  revoke(texts: Iterable<string>): void {
    for (const text of texts) this.#tickets.delete(text);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tickets.clear();
  }

  #expire(): void {
    const now = performance.now();
    for (const [text, ticket] of this.#tickets) {
      if (ticket.expiresAt > now) break;
      this.#tickets.delete(text);
      ticket.pool.expired(text, ticket.carrier);
    }
  }
}
