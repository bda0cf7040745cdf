import { PortalError } from '../lib/errors.js';
import { LIMITS } from '../protocol/limits.js';
import { nameOf, newTicket } from '../protocol/ticket.js';
import type { OwnHolder } from './lease.js';
import type { ShownTicket } from './shown-ticket.js';

interface HopTicket {
  readonly text: string;
  readonly session: OwnHolder;
  /** `host:port` as in `hop.open`. `CONNECT` must repeat it exactly. */
  readonly target: string;
  readonly expiresAt: number;
}

/** Owns the tickets for hops: a session gets them with `hop.open` and uses each for one `CONNECT`. */
export class HopTickets {
  readonly #ticketMs: number;
  readonly #tag: string;
  /** By name, in order of issue and so of expiry. */
  readonly #tickets = new Map<string, HopTicket>();
  readonly #countOf = new Map<OwnHolder, number>();
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

  /** New tickets for `session`. Throws `limit_exceeded` when it has too many. */
  issue(session: OwnHolder, target: string, count: number): string[] {
    const out = this.#countOf.get(session) ?? 0;
    if (out + count > LIMITS.maxHopTickets)
      throw new PortalError('limit_exceeded', `a session may have ${LIMITS.maxHopTickets} tickets for hops`, {
        retryAfterMs: this.#ticketMs,
      });
    const expiresAt = performance.now() + this.#ticketMs;
    const tickets = Array.from({ length: count }, () => newTicket(this.#tag));
    for (const text of tickets) this.#tickets.set(nameOf(text), { text, session, target, expiresAt });
    this.#countOf.set(session, out + count);
    return tickets;
  }

  has(name: string): boolean {
    return this.#tickets.has(name);
  }

  /** The session that a ticket for `target` was issued to. A proven ticket is used up. Throws `unauthorized`. */
  redeem(shown: ShownTicket, target: string): OwnHolder {
    const known = this.#tickets.get(shown.name);
    const ticket = known && shown.proves(known.text) ? known : undefined;
    if (ticket) this.#forget(ticket);
    if (!ticket || ticket.expiresAt <= performance.now() || ticket.target !== target || ticket.session.closed)
      throw invalidTicket();
    return ticket.session;
  }

  /** Drops the tickets of a session that ended. */
  forget(session: OwnHolder): void {
    if (!this.#countOf.has(session)) return;
    for (const ticket of this.#tickets.values()) if (ticket.session === session) this.#forget(ticket);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tickets.clear();
    this.#countOf.clear();
  }

  #forget({ text, session }: HopTicket): void {
    this.#tickets.delete(nameOf(text));
    const left = (this.#countOf.get(session) ?? 0) - 1;
    if (left > 0) this.#countOf.set(session, left);
    else this.#countOf.delete(session);
  }

  #expire(): void {
    const now = performance.now();
    for (const ticket of this.#tickets.values()) {
      if (ticket.expiresAt > now) break;
      this.#forget(ticket);
    }
  }
}

export function invalidTicket(): PortalError {
  return new PortalError('unauthorized', 'the ticket is invalid');
}
