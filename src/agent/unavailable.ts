import type { Socket } from 'node:net';
import { endWith } from '../net/last-words.js';
import { COME_AGAIN } from './h2-words.js';
import { changing, notRunning, notTrusted, rawPage, type Page } from './pages.js';
import { alpnOf } from './upstream.js';

/** How long a visitor of a dead service may take to say what it wants, and to read the answer. */
const FIRST_BYTES_MS = 5_000;
const LINGER_MS = 1_000;
const MAX_HEAD_BYTES = 16 * 1024;
const REQUEST_LINE = /^[A-Z][A-Z-]{0,19} \S+ HTTP\/1\.[01]\r?\n/;
const COULD_BE_HTTP = /^[A-Z][A-Z-]{0,19}( |$)/;

/**
 * The local service is not there: a visitor who speaks HTTP/1 gets a short page that says so, any other is closed.
 * Owns the socket from here on.
 */
export function answerUnavailable(socket: Socket, service: string, { code }: { code: string }): void {
  answerPage(socket, code === 'target_untrusted' ? notTrusted(service) : notRunning(service));
}

/** The visitor agreed, in its TLS handshake, on a protocol that nobody behind it speaks any more. Owns the socket, too. */
export function answerChanged(socket: Socket, service: string): void {
  if (alpnOf(socket) !== 'h2') return answerPage(socket, changing(service));
  socket.on('error', () => undefined);
  endWith(socket, COME_AGAIN, LINGER_MS);
}

function answerPage(socket: Socket, page: Page): void {
  let head = '';
  const timer = setTimeout(() => socket.destroy(), FIRST_BYTES_MS);
  const onData = (chunk: Buffer): void => {
    head += chunk.toString('latin1', 0, MAX_HEAD_BYTES);
    if (REQUEST_LINE.test(head)) finish(rawPage(page, head.startsWith('HEAD ')));
    else if (head.length >= MAX_HEAD_BYTES || !COULD_BE_HTTP.test(head)) finish(undefined);
  };
  const finish = (answer: string | undefined): void => {
    socket.off('data', onData);
    clearTimeout(timer);
    if (answer === undefined) return void socket.destroy();
    endWith(socket, answer, LINGER_MS);
  };
  socket.on('error', () => undefined);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.on('data', onData);
}
