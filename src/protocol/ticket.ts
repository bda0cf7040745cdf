import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * A ticket is good for one connection to the relay. It travels on the control channel alone: its first characters are its name,
 * the rest is a secret. On the new connection the agent shows the name, and proves the secret for that connection's TLS session.
 */

const SCHEME = 'Portal-Ticket';
const NAME_CHARS = 16;
/** 96 bits of name and 192 bits of secret, so that both are whole characters of base64url. */
const BYTES = 36;
const SHOWN = new RegExp(`^${SCHEME} ([\\w-]{${NAME_CHARS}})\\.([\\w-]{32}|[\\w-]{43})$`, 'i');

export interface Shown {
  readonly name: string;
  readonly proof: string;
}

export const newTicket = (): string => randomBytes(BYTES).toString('base64url');

export const nameOf = (ticket: string): string => ticket.slice(0, NAME_CHARS);

/**
 * The value of `Authorization` that shows `ticket` on the connection whose TLS session is `channel` (`channelOf`). Undefined: the
 * carrier is `raw`. There is no session to bind a proof to, so the secret itself is as good, and costs nothing.
 */
export function showTicket(ticket: string, channel: string | undefined): string {
  return `${SCHEME} ${nameOf(ticket)}.${proofOf(ticket, channel)}`;
}

/** What an `Authorization` header shows; undefined where that is no ticket. */
export function readShown(header: string | undefined): Shown | undefined {
  const [, name, proof] = SHOWN.exec(header ?? '') ?? [];
  return name === undefined || proof === undefined ? undefined : { name, proof };
}

/** Whether `proof` shows that its sender has `ticket`, and is at the other end of `channel`, as in `showTicket`. */
export function isProven(ticket: string, proof: string, channel: string | undefined): boolean {
  const [shown, expected] = [Buffer.from(proof), Buffer.from(proofOf(ticket, channel))];
  return shown.length === expected.length && timingSafeEqual(shown, expected);
}

function proofOf(ticket: string, channel: string | undefined): string {
  const secret = ticket.slice(NAME_CHARS);
  return channel === undefined ? secret : createHmac('sha256', secret).update(channel).digest('base64url');
}
