import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { endWith } from '../net/last-words.js';
import { protocolOf } from './first-line.js';
import { COME_AGAIN } from './h2-words.js';
import { changing, rawPage, type Page } from './pages.js';
import { alpnOf } from './upstream.js';

/** How long a visitor may take to say what it wants, and to read the answer. */
const FIRST_BYTES_MS = 5_000;
const LINGER_MS = 1_000;
const MAX_HEAD_BYTES = 16 * 1024;

/**
 * A visitor gets no further: whoever speaks HTTP gets `page`, any other is closed. Owns the socket, whose TLS ended
 * here, from now on.
 */
export function turnAway(socket: Socket, page: Page): void {
  socket.on('error', () => undefined);
  if (alpnOf(socket) === 'h2') void overHttp2(socket as TLSSocket, page);
  else overHttp1(socket, page);
}

/** The visitor agreed, in its TLS handshake, on a protocol that nobody behind it speaks any more. Owns the socket, too. */
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

/** Loaded when first used: mode stream has no need of it but here. */
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
