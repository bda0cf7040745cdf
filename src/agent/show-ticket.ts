import type { ClientRequest } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { showTicket } from '../protocol/ticket.js';
import { channelWith } from './channel-with.js';

/**
 * The header that shows `ticket` to the relay at `url` in the TLS session of `socket`. What it says is good in that session alone.
 * Throws `relay_untrusted` where the session is older than TLS 1.3.
 */
export const shownOn = (socket: TLSSocket, url: string, ticket: string): string =>
  showTicket(ticket, channelWith(url, socket, 'no ticket was shown'));

/** For `finishRequest` of `ws`, which lets the request wait until the TLS session stands. */
export function showing(url: string, ticket: string): (request: ClientRequest) => void {
  return (request) => show(request, 'authorization', url, ticket);
}

/** Sends `request` with the ticket in `header`, once its socket's TLS session stands. */
export function show(request: ClientRequest, header: string, url: string, ticket: string): void {
  request.once('socket', (socket) => {
    socket.once('secureConnect', () => {
      try {
        request.setHeader(header, shownOn(socket as TLSSocket, url, ticket)).end();
      } catch (error) {
        request.destroy(error as Error);
      }
    });
  });
}
