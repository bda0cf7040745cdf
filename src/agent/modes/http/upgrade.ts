import { randomBytes } from 'node:crypto';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { resetSocket } from '../../../net/splice/reset.js';
import type { SpliceSet } from '../../../net/splice/splice.js';
import type { HttpLimits } from './limits.js';
import { withoutField, type SwitchedStream } from './exchange/exchange.js';
import type { Forwarding } from './forward.js';
import { breakStream } from './h2-ends.js';
import { hasContentLength, upstreamHeaders, upstreamTarget } from './request.js';
import { listen } from './targets/upstream-body.js';

/** Other forms of HTTP and TLS: a target must never get a visitor's HTTP/2, and does not expect TLS here. */
const NOT_PASSED = /^(h2c?|http|tls)\b/i;

export function isPassed(protocol: string): boolean {
  return !NOT_PASSED.test(protocol) && !protocol.includes(',');
}

/**
 * A request to switch protocols, mostly to WebSocket. If the target agrees, joins its connection with the visitor's.
 * Forwards any other response as usual.
 */
export async function upgrade(
  forwarding: Forwarding,
  protocol: string,
  splices: SpliceSet,
  limits: HttpLimits,
): Promise<void> {
  const { exchange, route } = forwarding;
  let socket: Socket;
  try {
    socket = await route.upstream.dial('http/1.1');
  } catch (error) {
    return forwarding.fail(error);
  }
  if (forwarding.isOver) return void socket.destroy();
  let request: ClientRequest;
  try {
    request = httpRequest({
      createConnection: () => socket,
      method: exchange.method,
      path: upstreamTarget(exchange.target, route),
      headers: headersFor(forwarding, protocol),
      setHost: false,
      maxHeaderSize: limits.maxHeadBytes,
    });
  } catch (error) {
    socket.destroy();
    return forwarding.fail(error);
  }
  listen(request, forwarding, limits);
  request.once('upgrade', (response: IncomingMessage, upstream: Socket, head: Buffer) => {
    if (forwarding.isOver) return void upstream.destroy();
    let switched: SwitchedStream | undefined;
    try {
      switched = exchange.switchProtocols?.(forwarding.fields(response.rawHeaders), protocol);
    } catch (error) {
      // The response contains a field that visitors must not get.
      upstream.destroy();
      return forwarding.fail(error);
    }
    forwarding.switched();
    if (switched) exchange.onJoined?.(upstream);
    if (head.length > 0) upstream.unshift(head);
    if (switched) join(switched, upstream, splices, forwarding);
    else upstream.destroy();
  });
  request.end();
}

function headersFor({ exchange, route }: Forwarding, protocol: string): string[] {
  const headers = upstreamHeaders(exchange, route);
  // Over HTTP/2 there is no key (RFC 8441, section 5), and a key in the request is ignored.
  const isKeyless = exchange.isHttp2 && protocol.toLowerCase() === 'websocket';
  const kept = isKeyless ? withoutField(headers, 'sec-websocket-key') : headers;
  if (isKeyless) kept.push('Sec-WebSocket-Key', randomBytes(16).toString('base64'));
  // Without a length Node would send an empty chunked body at the start of the other protocol.
  if (exchange.method !== 'GET' && !hasContentLength(kept)) kept.push('Content-Length', '0');
  kept.push('Connection', 'Upgrade', 'Upgrade', protocol);
  return kept;
}

function join(
  visitor: SwitchedStream,
  upstream: Socket,
  splices: SpliceSet,
  { exchange, route }: Forwarding,
): void {
  const { lasting } = route.upstream;
  if (visitor.kind === 'socket') {
    if (visitor.head.length > 0) upstream.write(visitor.head);
    const ended = lasting.upgraded(() => splice.close('closed'));
    const splice = splices.add(visitor.socket, upstream, { onEnd: ended });
  } else {
    const { stream } = visitor;
    stream.once(
      'close',
      lasting.upgraded(() => breakStream(stream)),
    );
    joinStream(stream, upstream, () => exchange.isBodyWhole);
  }
}

/** The same for an HTTP/2 stream, which is not a socket: forwards ends and aborts in both directions. */
function joinStream(stream: Duplex, upstream: Socket, isWhole: () => boolean): void {
  stream.pipe(upstream, { end: false });
  upstream.pipe(stream);
  upstream.once('error', () => breakStream(stream));
  upstream.once('close', () => {
    if (!upstream.readableEnded) breakStream(stream);
  });
  stream.once('end', () => {
    if (isWhole()) upstream.end();
  });
  stream.once('error', () => resetSocket(upstream));
  stream.once('close', () => {
    if (isWhole()) upstream.destroySoon();
    else resetSocket(upstream);
  });
}
