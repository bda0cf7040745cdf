import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { endWith } from '../../net/splice/last-words.js';
import { LIMITS } from '../../protocol/limits.js';
import type { Rejection } from '../sessions/sessions.js';

/** What every part of the HTTP surface reads in a request, and how it rejects one. */

/** A request for an upgrade. */
export interface Asked {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
}

export function upgradeOf({ headers }: IncomingMessage): string | undefined {
  return headers.upgrade?.toLowerCase();
}

export function offers(request: IncomingMessage, subprotocol: string): boolean {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  return offered.split(',').some((name) => name.trim() === subprotocol);
}

export function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0]!;
}

/**
 * A connection that closes while its request body still arrives is reset, and the client loses the response. So the connection
 * stays open, and the server reads and drops the body within `requestHeadMs`.
 */
export function closeUnlessBody({ headers }: IncomingMessage): { connection?: 'close' } {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  return hasBody ? {} : { connection: 'close' };
}

/** Rejects an upgrade with the reason in JSON, for the agent to show. */
export function reject(socket: Duplex, { status, retryAfterSeconds, code, message }: Rejection): void {
  const headers = `Retry-After: ${retryAfterSeconds}\r\nContent-Type: application/json\r\n`;
  refuse(socket, status, headers, `${JSON.stringify({ code, message })}\n`);
}

export function refuse(socket: Duplex, status: string, headers = '', body = ''): void {
  socket.on('error', () => undefined);
  const length = Buffer.byteLength(body);
  const response = `HTTP/1.1 ${status}\r\n${headers}Connection: close\r\nContent-Length: ${length}\r\n\r\n${body}`;
  endWith(socket, response, LIMITS.lingerMs);
}
