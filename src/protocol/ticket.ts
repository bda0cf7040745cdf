import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/**
 * A ticket is good for one connection to the relay. It travels on the control channel alone: its first characters are its name,
 * the rest is a secret. On the new connection the agent shows the name, and proves the secret for that connection's TLS session.
 */

const SCHEME = 'Portal-Ticket';
const NAME_CHARS = 16;
/** 96 bits of name and 192 bits of secret, so that both are whole characters of base64url. */
const BYTES = 36;
const SHOWN = new RegExp(`^${SCHEME} ([\\w-]{${NAME_CHARS}})\\.([\\w-]{43})$`, 'i');

/** What stands for the channel on the carrier `raw`: there is no TLS to bind a proof to. */
export const NO_CHANNEL = 'raw';

export interface Shown {
  readonly name: string;
  readonly proof: string;
}

export const newTicket = (): string => randomBytes(BYTES).toString('base64url');

export const nameOf = (ticket: string): string => ticket.slice(0, NAME_CHARS);

/** The value of `Authorization` that shows `ticket` on the connection whose TLS session is `channel` (`channelOf`). */
export function showTicket(ticket: string, channel: string): string {
  return `${SCHEME} ${nameOf(ticket)}.${proofOf(ticket, channel)}`;
}

/** What an `Authorization` header shows; undefined where that is no ticket. */
export function readShown(header: string | undefined): Shown | undefined {
  const [, name, proof] = SHOWN.exec(header ?? '') ?? [];
  return name === undefined || proof === undefined ? undefined : { name, proof };
}

/** Whether `proof` shows that its sender has `ticket`, and is at the other end of `channel`. */
export function isProven(ticket: string, proof: string, channel: string): boolean {
  const [shown, expected] = [Buffer.from(proof), Buffer.from(proofOf(ticket, channel))];
  return shown.length === expected.length && timingSafeEqual(shown, expected);
}

function proofOf(ticket: string, channel: string): string {
  return createHmac('sha256', ticket.slice(NAME_CHARS)).update(channel).digest('base64url');
}
