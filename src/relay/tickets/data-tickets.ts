import { randomUUID } from 'node:crypto';
import type { WireCarrier } from '../../protocol/messages.js';
import type { DataPool } from '../data/data.js';
import type { SessionRef } from '../nodes/remote-sessions.js';
import type { ShownTicket } from './shown-ticket.js';
import { TicketBook } from './ticket-book.js';

interface DataTicket {
  readonly pool: DataPool;
  readonly carrier: WireCarrier;
  readonly connection: string;
}

/** A data connection that did not arrive at its ticket's node, and its session. */
export interface Redeemed extends SessionRef {
  readonly connection: string;
}

/** Owns the tickets for data connections. A ticket is valid for one of them. */
export class DataTickets {
  readonly #book: TicketBook<DataTicket>;

  /** `tag` begins the name of each ticket: by it, other nodes find the node that issued the ticket. */
  constructor(ticketMs: number, tag?: string) {
    this.#book = new TicketBook({
      ticketMs,
      tag,
      onExpired: ({ pool, carrier }, text) => pool.expired(text, carrier),
    });
  }

  get size(): number {
    return this.#book.size;
  }

  issue(pool: DataPool, carrier: WireCarrier): { connection: string; ticket: string } {
    const connection = randomUUID();
    return { connection, ticket: this.#book.issue({ pool, carrier, connection }) };
  }

  /** Uses the ticket if it is valid for `carrier` and proven. An unproven ticket stays valid for its agent. */
  redeem(shown: ShownTicket, carrier: WireCarrier): DataTicket | undefined {
    const used = this.#use(shown, carrier);
    used?.of.pool.redeemed(used.text, carrier);
    return used?.of;
  }

  /** Uses the ticket like `redeem`, for a connection that arrived at another `node`. */
  redeemFor(node: string, shown: ShownTicket, carrier: WireCarrier): Redeemed | undefined {
    const used = this.#use(shown, carrier);
    used?.of.pool.missed(used.text, carrier, node);
    return used && { ...used.of.pool.session, connection: used.of.connection };
  }

  /** Removes the tickets of a session that ended. */
  revoke(texts: Iterable<string>): void {
    for (const text of texts) this.#book.revoke(text);
  }

  close(): void {
    this.#book.close();
  }

  #use(shown: ShownTicket, carrier: WireCarrier): ReturnType<TicketBook<DataTicket>['use']> {
    return this.#book.use(shown, (ticket) => ticket.carrier === carrier);
  }
}
