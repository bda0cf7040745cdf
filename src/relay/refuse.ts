import type { Socket } from 'node:net';
import { endWith } from '../net/last-words.js';
import { LIMITS } from '../protocol/limits.js';

/** TLS alerts of a relay, as whole TLS 1.2 records: it is no end of the session, so they go in the clear. */
export const ALERTS = {
  /** What was said is no ClientHello: fatal decode_error(50). */
  decodeError: alert(50),
  /** The name is leased, but nobody came to serve it in time, or too many wait: fatal internal_error(80). */
  unavailable: alert(80),
  /** No such name here: fatal unrecognized_name(112), RFC 6066 §3. */
  unrecognizedName: alert(112),
} as const;

function alert(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description]);
}

/** Says why in TLS's own words, then closes both ways soon, whatever the client does. */
export function refuse(socket: Socket, why: Buffer): void {
  endWith(socket, why, LIMITS.lingerMs);
}
