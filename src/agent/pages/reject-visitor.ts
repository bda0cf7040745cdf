import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { endWith } from '../../net/splice/last-words.js';
import { resetSocket } from '../../net/splice/reset.js';
import { protocolOf } from './first-line.js';
import { SERVER_GOAWAY } from '../target/h2-frames.js';
import { valuesOf } from '../modes/http/exchange/exchange.js';
import { rawPage, type Page } from './page.js';
import { changing } from './pages.js';
import { alpnOf } from '../target/upstream.js';

/** Timeouts of a rejected visitor: for its first bytes, and for reading the response. */
const FIRST_BYTES_MS = 5_000;
const LINGER_MS = 1_000;
const MAX_HEAD_BYTES = 16 * 1024;

/** The request of a visitor to which Portal itself responds. */
interface Asked {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly version: string;
  readonly headers: readonly string[];
}

/**
 * Rejects a visitor: an HTTP client gets `page`, any other connection is reset. Takes ownership of the socket, whose
 * TLS this process terminated. `onAsked` gets each request that receives the page.
 */
export function rejectVisitor(socket: Socket, page: Page, onAsked?: (asked: Asked) => void): void {
  socket.on('error', () => undefined);
  if (alpnOf(socket) === 'h2') void overHttp2(socket as TLSSocket, page, onAsked);
  else overHttp1(socket, page, onAsked);
}

/**
 * Ends the connection of a visitor that negotiated a protocol that the service no longer uses, so that the visitor
 * reconnects. Takes ownership of the socket.
 */
export function requestReconnect(socket: Socket, service: string): void {
  if (alpnOf(socket) !== 'h2') return rejectVisitor(socket, changing(service));
  socket.on('error', () => undefined);
  endWith(socket, SERVER_GOAWAY, LINGER_MS);
}

function overHttp1(socket: Socket, page: Page, onAsked?: (asked: Asked) => void): void {
  let head = '';
  const timer = setTimeout(() => resetSocket(socket), FIRST_BYTES_MS);
  const onData = (chunk: Buffer): void => {
    head += chunk.toString('latin1', 0, MAX_HEAD_BYTES);
    const is = protocolOf(head);
    if (is === 'other') finish(undefined);
    if (is !== 'http') return;
    const asked = askedIn(head);
    onAsked?.(asked);
    // The first line is enough to respond. Until Accept has arrived, assume a browser.
    const isWhole = head.includes('\r\n\r\n');
    const accept = valuesOf(asked, 'accept') || (isWhole ? '' : undefined);
    finish(rawPage(page, { ...(accept !== undefined && { accept }), headOnly: asked.method === 'HEAD' }));
  };
  const finish = (response: string | undefined): void => {
    socket.off('data', onData);
    clearTimeout(timer);
    if (response === undefined) return resetSocket(socket);
    endWith(socket, response, LINGER_MS);
  };
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.on('data', onData);
}

/** The head of a request as far as it has arrived. Its first line is complete. */
function askedIn(head: string): Asked {
  const [line = '', ...fields] = head.split('\r\n\r\n', 1)[0]!.split(/\r?\n/);
  const [method = '', target = '', version = ''] = line.split(' ');
  const headers = fields.flatMap((field) => {
    const [, name, value] = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/.exec(field) ?? [];
    return name === undefined ? [] : [name, value!];
  });
  return {
    method,
    target,
    version: version.slice('HTTP/'.length),
    headers,
    authority: valuesOf({ headers }, 'host'),
  };
}

/** Loaded on demand, because mode stream needs it only here. */
async function overHttp2(socket: TLSSocket, page: Page, onAsked?: (asked: Asked) => void): Promise<void> {
  const [{ serveH2 }, { respondWith }, { HTTP_LIMITS }] = await Promise.all([
    import('../modes/http/visitors/h2.js'),
    import('../modes/http/exchange/own-response.js'),
    import('../modes/http/limits.js'),
  ]);
  if (socket.destroyed) return;
  const unknownClient = { address: '', network: '', forwardedFor: '', hostname: '' };
  const session = serveH2(socket, unknownClient, {
    limits: { ...HTTP_LIMITS, keepAliveMs: FIRST_BYTES_MS, pingMs: FIRST_BYTES_MS },
    serve: (exchange) => {
      onAsked?.(exchange);
      respondWith(exchange, page);
      session.close();
    },
  });
}
