import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { channelOf } from '../../protocol/channel.js';
import { isProven, readShown, readShownText, type Shown } from '../../protocol/ticket.js';

/** A ticket that a client presents on a connection. */
export interface ShownTicket {
  readonly name: string;
  /** Whether the client has proven, for this connection, that it knows `ticket`. */
  proves(ticket: string): boolean;
  /** The same for another node. */
  plain(): PlainTicket;
}

/** A shown ticket as plain data. */
export interface PlainTicket extends Shown {
  /** What the proof is bound to (`channelOf`): `none` without TLS; undefined if the TLS session has no such value. */
  readonly channel: string | undefined;
}

/** The ticket in `header`, for `socket`; undefined if it is invalid. */
export function shownOn(socket: Socket, header: string | undefined): ShownTicket | undefined {
  const shown = readShown(header);
  return shown && proving(socket, shown);
}

/** The ticket `shown` on `socket`. */
export function proving(socket: Socket, { name, proof }: Shown): ShownTicket {
  const channel = (): PlainTicket['channel'] => (socket instanceof TLSSocket ? channelOf(socket) : 'none');
  return {
    name,
    proves: (ticket) => proves(ticket, proof, channel()),
    plain: () => ({ name, proof, channel: channel() }),
  };
}

/** Reads further tickets that a client shows on `socket`; undefined if one is invalid. */
export function shownAgainOn(socket: Socket): (text: string) => ShownTicket | undefined {
  // The channel needs the key schedule of TLS, and does not change.
  const channel = socket instanceof TLSSocket ? channelOf(socket) : undefined;
  return (text) => {
    const shown = readShownText(text);
    return shown && shownAs({ ...shown, channel });
  };
}

/** A ticket as plain data, for example from another node. */
export function shownAs(plain: PlainTicket): ShownTicket {
  const { name, proof, channel } = plain;
  return { name, proves: (ticket) => proves(ticket, proof, channel), plain: () => plain };
}

function proves(ticket: string, proof: string, channel: PlainTicket['channel']): boolean {
  if (channel === 'none') return isProven(ticket, proof, undefined);
  return channel !== undefined && isProven(ticket, proof, channel);
}
