import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { resetSocket } from '../../../../net/splice/reset.js';
import type { Client } from '../exchange/exchange.js';

/**
 * Closes a visitor's HTTP/1 connection at any moment. HTTP/1.0 has no chunks: without a length, a clean close would look
 * like the end of the response.
 */
export function cut(socket: Socket): void {
  if (responseOn(socket)?.req.httpVersionMinor === 0) resetSocket(socket);
  else socket.destroy();
}

/** Whether a request of HTTP/1 has arrived of which the response has not ended. */
export function isResponding(socket: Socket): boolean {
  return responseOn(socket) !== undefined;
}

/** Whether a request or response is in progress. Event streams do not count. */
export function hasExchange(socket: Socket, { unanswered = 0, eventStreams = 0, streams }: Client): boolean {
  if (unanswered > 0) return true;
  return streams === undefined ? eventStreams === 0 && isResponding(socket) : streams > eventStreams;
}

/** The response in progress; Node exposes it only here. */
function responseOn(socket: Socket): ServerResponse | undefined {
  const { _httpMessage: current } = socket as { _httpMessage?: ServerResponse | null };
  return current ?? undefined;
}
