import { nameOf, newTicket } from '../../protocol/ticket.js';
import type { ShownTicket } from './shown-ticket.js';

interface Issued<T> {
  readonly text: string;
  readonly of: T;
  readonly expiresAt: number;
}

export interface TicketBookOptions<T> {
  /** How long a ticket is valid. */
  readonly ticketMs: number;
  /** Begins the name of each ticket: by it, other nodes find the node that issued the ticket. */
  readonly tag?: string | undefined;
  /** Called with each ticket that expires unused. */
  readonly onExpired?: (of: T, text: string) => void;
}

/** Owns the issued tickets of one kind, each with what it is for. A ticket is valid for `ticketMs`, and used once. */
export class TicketBook<T> {
  readonly #options: TicketBookOptions<T>;
  /** By name, in order of issue and so of expiry. */
  readonly #tickets = new Map<string, Issued<T>>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: TicketBookOptions<T>) {
    this.#options = options;
    this.#timer = setInterval(() => this.#expire(), Math.min(1_000, options.ticketMs / 4)).unref();
  }

  get size(): number {
    return this.#tickets.size;
  }

  has(name: string): boolean {
    return this.#tickets.has(name);
  }

  /** A new ticket. Treat it as a secret. */
  issue(of: T): string {
    const { ticketMs, tag } = this.#options;
    const text = newTicket(tag);
    this.#tickets.set(nameOf(text), { text, of, expiresAt: performance.now() + ticketMs });
    return text;
  }

  /**
   * Uses the ticket up, and returns what it is for. Undefined if it is unknown, expired, unproven or not suitable, according to
   * `suits`: then a ticket stays valid for its owner.
   */
  use(shown: ShownTicket, suits?: (of: T) => boolean): { readonly of: T; readonly text: string } | undefined {
    const issued = this.#tickets.get(shown.name);
    if (!issued || issued.expiresAt <= performance.now() || suits?.(issued.of) === false) return undefined;
    if (!shown.proves(issued.text)) return undefined;
    this.#tickets.delete(shown.name);
    return issued;
  }

  /** The ticket is no longer valid. */
  revoke(text: string): void {
    this.#tickets.delete(nameOf(text));
  }

  /** Revokes all tickets for which `isOver` holds. */
  revokeAll(isOver: (of: T) => boolean): void {
    for (const [name, { of }] of this.#tickets) if (isOver(of)) this.#tickets.delete(name);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tickets.clear();
  }

  #expire(): void {
    const now = performance.now();
    for (const [name, { of, text, expiresAt }] of this.#tickets) {
      if (expiresAt > now) break;
      this.#tickets.delete(name);
      this.#options.onExpired?.(of, text);
    }
  }
}
