import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { endWith } from '../net/last-words.js';
import { protocolOf } from './first-line.js';
import { COME_AGAIN } from './h2-words.js';
import { changing, rawPage, type Page } from './pages.js';
import { alpnOf } from './upstream.js';

/** Timeouts of a rejected visitor: for its first bytes, and for reading the response. */
const FIRST_BYTES_MS = 5_000;
const LINGER_MS = 1_000;
const MAX_HEAD_BYTES = 16 * 1024;

/**
 * Rejects a visitor: an HTTP client gets `page`, any other connection is closed. Takes ownership of the socket, whose TLS
 * this process terminated.
 */
export function turnAway(socket: Socket, page: Page): void {
  socket.on('error', () => undefined);
  if (alpnOf(socket) === 'h2') void overHttp2(socket as TLSSocket, page);
  else overHttp1(socket, page);
}

/** The visitor negotiated a protocol that the service no longer speaks. Takes ownership of the socket too. */
export function sendAgain(socket: Socket, service: string): void {
  if (alpnOf(socket) !== 'h2') return turnAway(socket, changing(service));
  socket.on('error', () => undefined);
  endWith(socket, COME_AGAIN, LINGER_MS);
}

function overHttp1(socket: Socket, page: Page): void {
  let head = '';
  const timer = setTimeout(() => socket.destroy(), FIRST_BYTES_MS);
  const onData = (chunk: Buffer): void => {
    head += chunk.toString('latin1', 0, MAX_HEAD_BYTES);
    const is = protocolOf(head);
    if (is === 'http') finish(rawPage(page, head.startsWith('HEAD ')));
    else if (is === 'other') finish(undefined);
  };
  const finish = (answer: string | undefined): void => {
    socket.off('data', onData);
    clearTimeout(timer);
    if (answer === undefined) return void socket.destroy();
    endWith(socket, answer, LINGER_MS);
  };
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.on('data', onData);
}

/** Loaded on demand, because mode stream needs it only here. */
async function overHttp2(socket: TLSSocket, { status, reason, headers, body }: Page): Promise<void> {
  const [{ serveH2 }, { answer }, { HTTP_BOUNDS }] = await Promise.all([
    import('./modes/http/h2.js'),
    import('./modes/http/exchange.js'),
    import('./modes/http/bounds.js'),
  ]);
  if (socket.destroyed) return;
  const nobody = { address: '', network: '', forwardedFor: '', hostname: '' };
  const session = serveH2(socket, nobody, {
    bounds: { ...HTTP_BOUNDS, keepAliveMs: FIRST_BYTES_MS, pingMs: FIRST_BYTES_MS },
    serve: (exchange) => {
      answer(exchange, status, reason, headers, body);
      session.close();
    },
  });
}
