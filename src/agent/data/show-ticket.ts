import type { ClientRequest } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { showTicket } from '../../protocol/ticket.js';
import { channelBinding } from '../session/channel-binding.js';

/**
 * The header value that presents `ticket` to the relay at `url`. It is valid only in the TLS session of `socket`. Throws
 * `relay_untrusted` if the session is older than TLS 1.3.
 */
export const shownOn = (socket: TLSSocket, url: string, ticket: string): string =>
  showTicket(ticket, channelBinding(url, socket, 'the agent sent no ticket'));

/** For `finishRequest` of `ws`, which delays the request until the TLS session is ready. */
export function showing(url: string, ticket: string): (request: ClientRequest) => void {
  return (request) => show(request, 'authorization', url, ticket);
}

/** Sends `request` with the ticket in `header`, once its socket's TLS session is ready. */
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
