import { randomBytes } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { resetSocket, type SpliceSet } from '../../../net/splice.js';
import type { HttpBounds } from './bounds.js';
import type { Switched } from './exchange.js';
import type { Forwarding } from './forward.js';
import { upstreamHeaders, upstreamTarget } from './request.js';
import { listen } from './upstream-body.js';

/** HTTP in other clothes: a target must never be sent visitors' HTTP/2, and would not expect TLS here. */
const NOT_PASSED = /^(h2c?|http|tls)\b/i;

export function isPassed(protocol: string): boolean {
  return !NOT_PASSED.test(protocol) && !protocol.includes(',');
}

/**
 * A request to switch protocols, WebSocket above all. If the target agrees, its bytes and the visitor's are joined as
 * they are; any other answer is an ordinary one.
 */
export async function upgrade(
  forwarding: Forwarding,
  protocol: string,
  splices: SpliceSet,
  bounds: HttpBounds,
): Promise<void> {
  const { exchange, route } = forwarding;
  let socket: Socket;
  try {
    socket = await route.upstream.dial('http/1.1');
  } catch (error) {
    return forwarding.fail(error);
  }
  if (forwarding.over) return void socket.destroy();
  const headers = upstreamHeaders(exchange, route);
  headers.push('Connection', 'Upgrade', 'Upgrade', protocol);
  // A visitor over HTTP/2 has none (RFC 8441, section 5).
  const overHttp2 = !headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'sec-websocket-key');
  if (overHttp2) headers.push('Sec-WebSocket-Key', randomBytes(16).toString('base64'));
  const request = httpRequest({
    createConnection: () => socket,
    method: 'GET',
    path: upstreamTarget(exchange.target, route),
    headers,
    setHost: false,
    maxHeaderSize: bounds.maxHeadBytes,
  });
  listen(request, forwarding, bounds);
  request.once('upgrade', (response: IncomingMessage, upstream: Socket, head: Buffer) => {
    forwarding.switched();
    const fields = forwarding.fields(response.rawHeaders);
    const switched = exchange.switchProtocols?.(
      overHttp2 ? withoutAccept(fields) : [...fields, 'Connection', 'Upgrade', 'Upgrade', protocol],
    );
    if (head.length > 0) upstream.unshift(head);
    if (switched) join(switched, upstream, splices);
    else upstream.destroy();
  });
  request.end();
}

function join(visitor: Switched, upstream: Socket, splices: SpliceSet): void {
  if (visitor.kind === 'socket') {
    if (visitor.head.length > 0) upstream.write(visitor.head);
    splices.add(visitor.socket, upstream);
  } else {
    joinStream(visitor.stream, upstream);
  }
}

/** The same for a stream of HTTP/2, which is no socket: ends and breaks are passed on, both ways. */
function joinStream(stream: Duplex, upstream: Socket): void {
  stream.pipe(upstream);
  upstream.pipe(stream);
  upstream.once('error', () => stream.destroy());
  upstream.once('close', () => {
    if (!upstream.readableEnded) stream.destroy();
  });
  stream.once('error', () => resetSocket(upstream));
  stream.once('close', () => {
    if (!stream.readableEnded) resetSocket(upstream);
    else upstream.destroySoon();
  });
}

function withoutAccept(headers: readonly string[]): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)]!.toLowerCase() !== 'sec-websocket-accept');
}
