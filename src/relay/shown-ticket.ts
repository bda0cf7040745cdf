import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { channelOf } from '../protocol/channel.js';
import { isProven, readShown } from '../protocol/ticket.js';

/** A ticket that a client presents on a connection. */
export interface ShownTicket {
  readonly name: string;
  /** Whether the client has proven, for this connection, that it knows `ticket`. */
  proves(ticket: string): boolean;
}

/** The ticket in `header`, for `socket`; undefined if it is invalid. */
export function shownOn(socket: Socket, header: string | undefined): ShownTicket | undefined {
  const shown = readShown(header);
  if (!shown) return undefined;
  return {
    name: shown.name,
    proves: (ticket) => {
      if (!(socket instanceof TLSSocket)) return isProven(ticket, shown.proof, undefined);
      const channel = channelOf(socket);
      return channel !== undefined && isProven(ticket, shown.proof, channel);
    },
  };
}
