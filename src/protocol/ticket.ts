import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * A ticket is valid for one connection to the relay. It travels only on the control channel. Its first characters are its name,
 * the rest is a secret. On the new connection the agent sends the name, and proves the secret for that TLS session.
 */

const SCHEME = 'Portal-Ticket';
const NAME_CHARS = 16;
/** 96 bits of name and 192 bits of secret, so both are whole base64url characters. */
const BYTES = 36;
const SHOWN = new RegExp(`^([\\w-]{${NAME_CHARS}})\\.([\\w-]{32}|[\\w-]{43})$`);
const HEADER = new RegExp(`^${SCHEME} (\\S+)$`, 'i');

export interface Shown {
  readonly name: string;
  readonly proof: string;
}

/** Tickets that share one request for random bytes, which costs a relay as much as the rest of a ticket. */
const BATCH = 64;
let batch = Buffer.alloc(0);
let used = 0;

/** A new ticket, whose name begins with `tag`. */
export function newTicket(tag = ''): string {
  if (used >= batch.length) {
    batch = randomBytes(BATCH * BYTES);
    used = 0;
  }
  const ticket = batch.toString('base64url', used, used + BYTES);
  // A ticket's bytes must not remain outside of the ticket.
  batch.fill(0, used, (used += BYTES));
  return tag + ticket.slice(tag.length);
}

export const nameOf = (ticket: string): string => ticket.slice(0, NAME_CHARS);
export const secretOf = (ticket: string): string => ticket.slice(NAME_CHARS);

/**
 * The `Authorization` value for `ticket` on a connection with the TLS session `channel` (`channelOf`). Undefined for the
 * carrier `raw`: it has no session to bind a proof to, so the value contains the secret itself.
 */
export function showTicket(ticket: string, channel: string | undefined): string {
  return `${SCHEME} ${shownText(ticket, channel)}`;
}

/** The same without the scheme, for a connection that no longer speaks HTTP. */
export function shownText(ticket: string, channel: string | undefined): string {
  return `${nameOf(ticket)}.${proofOf(ticket, channel)}`;
}

/** The ticket in an `Authorization` header; undefined if it is invalid. */
export function readShown(header: string | undefined): Shown | undefined {
  return readShownText(HEADER.exec(header ?? '')?.[1] ?? '');
}

/** The ticket in the text of `shownText`; undefined if it is invalid. */
export function readShownText(text: string): Shown | undefined {
  const [, name, proof] = SHOWN.exec(text) ?? [];
  return name === undefined || proof === undefined ? undefined : { name, proof };
}

/** Whether `proof` proves that its sender has `ticket` and is at the other end of `channel`. */
export function isProven(ticket: string, proof: string, channel: string | undefined): boolean {
  const [shown, expected] = [Buffer.from(proof), Buffer.from(proofOf(ticket, channel))];
  return shown.length === expected.length && timingSafeEqual(shown, expected);
}

function proofOf(ticket: string, channel: string | undefined): string {
  const secret = secretOf(ticket);
  return channel === undefined ? secret : createHmac('sha256', secret).update(channel).digest('base64url');
}
