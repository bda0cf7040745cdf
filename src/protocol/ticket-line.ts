import { nameOf, secretOf, type Shown } from './ticket.js';

/**
 * The ticket line opens a data connection of the carrier `raw` instead of an HTTP upgrade: the agent writes once, and
 * the relay does not respond. Its first byte is neither a TLS record's (0x16) nor a letter of an HTTP method.
 */
export const TICKET_LINE = 0x02;
export const TICKET_LINE_BYTES = 51;

/** What the relay writes before it closes a connection whose line it rejects. */
export const REJECTED = {
  /** The line is malformed, or its ticket is invalid. */
  ticket: 0x03,
  /** No file descriptor is free. The ticket stays valid. */
  noDescriptor: 0x04,
} as const;

const SHOWN = /^([\w-]{16})\.([\w-]{32})\n$/;

/** The first bytes of a data connection that presents `ticket`; latin1. */
export const ticketLine = (ticket: string): string => `\x02${nameOf(ticket)}.${secretOf(ticket)}\n`;

/** The content of first bytes that begin with `TICKET_LINE`. */
type TicketLineVerdict =
  /** Undecided until at least `bytes` bytes, counted from the start, have arrived. */
  | { readonly kind: 'need'; readonly bytes: number }
  /** `shown` is undefined if the line is malformed, or if more bytes follow: an agent waits for the start byte. */
  | { readonly kind: 'ticket'; readonly shown: Shown | undefined };

export function readTicketLine(bytes: Buffer): TicketLineVerdict {
  if (bytes.length < TICKET_LINE_BYTES) return { kind: 'need', bytes: TICKET_LINE_BYTES };
  if (bytes.length > TICKET_LINE_BYTES || bytes[0] !== TICKET_LINE)
    return { kind: 'ticket', shown: undefined };
  const [, name, proof] = SHOWN.exec(bytes.toString('latin1', 1)) ?? [];
  const isWhole = name !== undefined && proof !== undefined;
  return { kind: 'ticket', shown: isWhole ? { name, proof } : undefined };
}
