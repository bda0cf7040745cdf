import type { Socket } from 'node:net';
import { endWith } from '../../net/splice/last-words.js';
import { LIMITS } from '../../protocol/limits.js';

/** TLS alerts of a relay, as whole TLS 1.2 records. The relay is not an end of the TLS session, so it sends them in plaintext. */
export const ALERTS = {
  /** The bytes are not a ClientHello: fatal decode_error(50). */
  decodeError: alert(50),
  /** The name is leased, but no data connection came in time, or the queue is full: fatal internal_error(80). */
  unavailable: alert(80),
  /** The relay does not know the name, or its lease ended while the visitor waited: fatal unrecognized_name(112), RFC 6066 §3. */
  unrecognizedName: alert(112),
} as const;

function alert(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description]);
}

/** Sends the alert `why`, then closes both ways after a moment, whatever the client does. */
export function refuse(socket: Socket, why: Buffer): void {
  endWith(socket, why, LIMITS.lingerMs);
}
