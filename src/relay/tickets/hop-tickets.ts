import { PortalError } from '../../lib/errors.js';
import { LIMITS } from '../../protocol/limits.js';
import type { OwnHolder } from '../leases/lease.js';
import type { ShownTicket } from './shown-ticket.js';
import { TicketBook } from './ticket-book.js';

interface HopTicket {
  readonly session: OwnHolder;
  /** `host:port` as in `hop.open`. `CONNECT` must repeat it exactly. */
  readonly target: string;
}

/** Owns the tickets for hops: a session gets them with `hop.open` and uses each for one `CONNECT`. */
export class HopTickets {
  readonly #ticketMs: number;
  readonly #book: TicketBook<HopTicket>;
  readonly #countOf = new Map<OwnHolder, number>();

  /** `tag` begins the name of each ticket: by it, other nodes find the node that issued the ticket. */
  constructor(ticketMs: number, tag?: string) {
    this.#ticketMs = ticketMs;
    this.#book = new TicketBook({ ticketMs, tag, onExpired: ({ session }) => this.#discount(session) });
  }

  get size(): number {
    return this.#book.size;
  }

  /** New tickets for `session`. Throws `limit_exceeded` when it has too many. */
  issue(session: OwnHolder, target: string, count: number): string[] {
    const out = this.#countOf.get(session) ?? 0;
    if (out + count > LIMITS.maxHopTickets)
      throw new PortalError('limit_exceeded', `a session may have ${LIMITS.maxHopTickets} tickets for hops`, {
        retryAfterMs: this.#ticketMs,
      });
    this.#countOf.set(session, out + count);
    return Array.from({ length: count }, () => this.#book.issue({ session, target }));
  }

  has(name: string): boolean {
    return this.#book.has(name);
  }

  /** The session that a ticket for `target` was issued to. A proven ticket is used up. Throws `unauthorized`. */
  redeem(shown: ShownTicket, target: string): OwnHolder {
    const { of: ticket } = this.#book.use(shown) ?? {};
    if (ticket) this.#discount(ticket.session);
    if (!ticket || ticket.target !== target || ticket.session.closed) throw invalidTicket();
    return ticket.session;
  }

  /** Drops the tickets of a session that ended. */
  forget(session: OwnHolder): void {
    if (this.#countOf.delete(session)) this.#book.revokeAll((ticket) => ticket.session === session);
  }

  close(): void {
    this.#book.close();
    this.#countOf.clear();
  }

  #discount(session: OwnHolder): void {
    const left = (this.#countOf.get(session) ?? 0) - 1;
    if (left > 0) this.#countOf.set(session, left);
    else this.#countOf.delete(session);
  }
}

export function invalidTicket(): PortalError {
  return new PortalError('unauthorized', 'the ticket is invalid');
}
