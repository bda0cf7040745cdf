import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { asPortalError, type ErrorCode, type PortalError } from '../../lib/errors.js';
import { HOP_HEADERS, HOP_UPGRADE } from '../../protocol/limits.js';
import type { Hops } from './hops.js';
import { shownOn } from '../tickets/shown-ticket.js';

/** The HTTP requests of hops: an agent's `CONNECT`, and a peer's request that announces a forwarded connection. */

/** Refuses a request on its socket. */
type Refuse = (socket: Duplex, status: string, headers?: string) => void;

const STATUS: Partial<Record<ErrorCode, string>> = {
  unauthorized: '403 Forbidden',
  peer_unknown: '403 Forbidden',
  peer_unreachable: '502 Bad Gateway',
  hop_loop: '508 Loop Detected',
  too_many_hops: '508 Loop Detected',
  limit_exceeded: '503 Service Unavailable',
};

const errorHeader = (error: PortalError): string => `${HOP_HEADERS.error}: ${error.code}\r\n`;

/** Responds to `CONNECT host:port` on a TLS connection to this relay. Calls `onGood` for a valid ticket. */
export async function serveConnect(
  hops: Hops,
  { request, socket, head }: { request: IncomingMessage; socket: Socket; head: Buffer },
  onGood: () => void,
  refuse: Refuse,
): Promise<void> {
  // For the whole life of the socket: an error of an agent's connection must not end the process.
  socket.on('error', () => undefined);
  const ticket = shownOn(socket, request.headers['proxy-authorization']);
  if (ticket === undefined)
    return refuse(socket, '407 Proxy Authentication Required', 'Proxy-Authenticate: Portal-Ticket\r\n');
  // A client must wait for the 200 before it sends data.
  if (head.length > 0) return refuse(socket, '400 Bad Request');
  try {
    const begin = await hops.connect(ticket, request.url ?? '', socket);
    onGood();
    socket.setTimeout(0);
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    begin();
  } catch (error) {
    const failure = asPortalError(error);
    refuse(socket, STATUS[failure.code] ?? '502 Bad Gateway', errorHeader(failure));
  }
}

/** Responds to `GET /v1/hop` in plaintext. Then `take` handles the connection like a new one. */
export function servePreface(
  hops: Hops,
  { request, socket, head }: { request: IncomingMessage; socket: Socket; head: Buffer },
  take: () => void,
  refuse: Refuse,
): void {
  const { headers, method } = request;
  const count = Number(/^\d{1,3}$/.exec(String(headers[HOP_HEADERS.count]))?.[0] ?? 0);
  const from = String(headers[HOP_HEADERS.from] ?? '');
  const isFit = method === 'GET' && headers.upgrade?.toLowerCase() === HOP_UPGRADE && head.length === 0;
  if (!isFit || count < 1 || from.length > 300 || !URL.canParse(from))
    return refuse(socket, '400 Bad Request');
  try {
    hops.arrived(socket, { count, from: new URL(from).origin });
  } catch (error) {
    const failure = asPortalError(error);
    return refuse(socket, STATUS[failure.code] ?? '400 Bad Request', errorHeader(failure));
  }
  socket.setTimeout(0);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${HOP_UPGRADE}\r\n\r\n`);
  take();
}
