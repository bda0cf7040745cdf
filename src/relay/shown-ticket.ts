import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { channelOf } from '../protocol/channel.js';
import { isProven, readShown, type Shown } from '../protocol/ticket.js';

/** A ticket that a client presents on a connection. */
export interface ShownTicket {
  readonly name: string;
  /** Whether the client has proven, for this connection, that it knows `ticket`. */
  proves(ticket: string): boolean;
}

/** The ticket in `header`, for `socket`; undefined if it is invalid. */
export function shownOn(socket: Socket, header: string | undefined): ShownTicket | undefined {
  const shown = readShown(header);
  return shown && proving(socket, shown);
}

/** The ticket `shown` on `socket`. */
export function proving(socket: Socket, { name, proof }: Shown): ShownTicket {
  return {
    name,
    proves: (ticket) => {
      if (!(socket instanceof TLSSocket)) return isProven(ticket, proof, undefined);
      const channel = channelOf(socket);
      return channel !== undefined && isProven(ticket, proof, channel);
    },
  };
}
