import type { Server, ServerOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import { systemCode } from '../../lib/errors.js';
import { refuse } from '../http/messages.js';

/** What the relay's two HTTP servers have in common. The front listens and hands over sockets, so neither of them listens. */

/** Limits of requests. `requestHeadMs`: timeout of a request head. */
export const requestLimits = (requestHeadMs: number): ServerOptions => ({
  headersTimeout: requestHeadMs,
  requestTimeout: requestHeadMs,
  keepAliveTimeout: Math.min(5_000, requestHeadMs),
  connectionsCheckingInterval: Math.min(2_000, requestHeadMs / 4),
  maxHeaderSize: 16 * 1024,
});

const STATUS_OF: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/** Prepares a server for sockets that the front hands over. */
export function receiveSockets(server: Server): void {
  startTimekeeping(server);
  server.on('clientError', (error, socket: Duplex) => {
    refuse(socket, STATUS_OF[systemCode(error) ?? ''] ?? '400 Bad Request');
  });
}

/**
 * Node checks header and request timeouts from an interval that starts on `listening`. A server that receives its sockets
 * never emits that event, and a slow-loris client would stay connected forever.
 */
function startTimekeeping(server: Server): void {
  server.emit('listening');
}

export function closeServer(server: Server): void {
  server.close();
  server.closeAllConnections();
}
