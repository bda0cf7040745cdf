import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { resetSocket } from '../../../net/reset.js';

/**
 * Closes a visitor's HTTP/1 connection at any moment. HTTP/1.0 has no chunks: without a length, a clean close would look
 * like the end of the response.
 */
export function cut(socket: Socket): void {
  // The response in progress; Node exposes it only here.
  const { _httpMessage: current } = socket as { _httpMessage?: ServerResponse | null };
  if (current?.req.httpVersionMinor === 0) resetSocket(socket);
  else socket.destroy();
}
