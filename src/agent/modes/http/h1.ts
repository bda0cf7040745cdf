import { createServer, METHODS, ServerResponse, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemCode } from '../../../lib/errors.js';
import { endWith } from '../../../net/last-words.js';
import type { HttpBounds } from './bounds.js';
import { protocolOf } from '../../first-line.js';
import { answer, type Client, type Exchange } from './exchange.js';
import { H1Exchange, hasBody } from './h1-exchange.js';
import { PAGES, rawPage, type Page } from '../../pages.js';
import { Turns } from './turns.js';

/** HTTP/1.1 and 1.0 towards visitors: node's parser, in its strict form, and what it leaves to its user to refuse. */

export interface H1Options {
  readonly bounds: HttpBounds;
  readonly clientOf: (socket: Socket) => Client | undefined;
  readonly serve: (exchange: Exchange) => void;
  /** True from when no request is to come any more. */
  readonly draining: () => boolean;
  /** A visitor does not speak HTTP. */
  readonly onNotHttp: () => void;
}

export function createH1(options: H1Options): Server {
  const { bounds } = options;
  const server = createServer({
    headersTimeout: bounds.requestHeadMs,
    // A body may take as long as it moves.
    requestTimeout: 0,
    keepAliveTimeout: bounds.keepAliveMs,
    connectionsCheckingInterval: Math.min(2_000, bounds.requestHeadMs / 4),
    maxHeaderSize: bounds.maxHeadBytes,
    insecureHTTPParser: false,
    // Told by us, with what the visitor can make of it.
    requireHostHeader: false,
    noDelay: true,
  });
  // Node would drop the rest without a word; we refuse.
  server.maxHeadersCount = 0;
  server.timeout = bounds.stalledMs;
  const take = (
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
    head?: Buffer,
  ): void => {
    const client = options.clientOf(request.socket);
    if (!client) return void request.socket.destroy();
    if (options.draining()) response.shouldKeepAlive = false;
    const exchange = new H1Exchange(client, request, response, expectsContinue, bounds.lingerMs, head);
    const refusal = refusalOf(request, exchange, bounds);
    if (refusal === PAGES.version) options.onNotHttp();
    if (refusal) refuse(exchange, response, refusal);
    else options.serve(exchange);
  };
  const turns = new Turns(bounds.maxStreams);
  const inTurn = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void =>
    turns.take(request.socket, () => {
      take(request, response, expectsContinue);
      return response;
    });
  server.on('request', (request, response) => inTurn(request, response, false));
  server.on('checkContinue', (request, response) => inTurn(request, response, true));
  server.on('checkExpectation', (request, response) => inTurn(request, response, true));
  // The parser has let go of the connection: what follows is answered as the last on it.
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    turns.take(socket as Socket, () => {
      const response = responseOn(request, socket as Socket);
      take(request, response, false, head);
      return response;
    });
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => undefined);
    endWith(socket, rawPage(PAGES.methodNotAllowed), bounds.lingerMs);
  });
  const broken = new WeakSet<Duplex>();
  server.on('clientError', (error, socket: Duplex) => {
    // The parser complains anew of whatever follows.
    if (broken.has(socket) && systemCode(error) !== 'ECONNRESET') return;
    broken.add(socket);
    if (!isRequest(error)) options.onNotHttp();
    if (!socket.writable || systemCode(error) === 'ECONNRESET') socket.destroy();
    else endBroken(socket, error, bounds.lingerMs);
  });
  // Its time keeping begins when it listens, which a server that is handed its sockets never does.
  server.emit('listening');
  return server;
}

/**
 * The parser understands nothing more on this connection. Requests that were whole before that get their answers;
 * then what is wrong is said, unless an answer has begun to the very request.
 */
function endBroken(socket: Duplex, error: Error, lingerMs: number): void {
  // The response that is under way; node tells no other way.
  const { _httpMessage: current } = socket as { _httpMessage?: ServerResponse | null };
  if (current?.req.complete) current.once('finish', () => endBroken(socket, error, lingerMs));
  else endWith(socket, current?.headersSent ? '' : rawPage(pageOf(error)), lingerMs);
}

/** What node's parser lets pass, and is not good enough to send on. */
function refusalOf(request: IncomingMessage, exchange: H1Exchange, bounds: HttpBounds): Page | undefined {
  const { httpVersionMajor, httpVersionMinor, rawHeaders } = request;
  if (httpVersionMajor !== 1 || isOtherProtocol(request)) return PAGES.version;
  if (rawHeaders.length > 2 * bounds.maxHeaders) return PAGES.tooLarge;
  if (exchange.contradictory || exchange.hosts > 1 || (exchange.hosts === 0 && httpVersionMinor > 0))
    return PAGES.badRequest;
  const { expect, 'transfer-encoding': coding } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return PAGES.expectationFailed;
  // Behind a request to switch protocols nothing is read as its body.
  if (exchange.upgrade !== undefined && hasBody(request)) return PAGES.badRequest;
  if (coding === undefined) return undefined;
  if (httpVersionMinor === 0) return PAGES.badRequest;
  return coding.toLowerCase() === 'chunked' ? undefined : PAGES.notImplemented;
}

const HTTP_METHODS = new Set(METHODS);

/**
 * Node's parser also takes `SOURCE … ICE/1.0` and RTSP/1.0, and calls both HTTP/1.0. What it does not tell shows in their methods and
 * in CSeq, which each request of RTSP has (RFC 2326, 12.17).
 */
function isOtherProtocol({ httpVersionMinor, method = '', headers }: IncomingMessage): boolean {
  if (!HTTP_METHODS.has(method)) return true;
  return httpVersionMinor === 0 && (method === 'SOURCE' || headers['cseq'] !== undefined);
}

function refuse(exchange: Exchange, response: ServerResponse, { status, reason, headers, body }: Page): void {
  response.shouldKeepAlive = false;
  answer(exchange, status, reason, headers, body);
}

function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => socket.destroySoon());
  return response;
}

/** A request line that would be valid, were its method known. */
const REQUEST_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP\/1\.[01]\r$/m;

interface Broken extends Error {
  /** What the parser was given last. */
  readonly rawPacket?: Buffer;
}

function isRequestLine({ rawPacket }: Broken): boolean {
  return rawPacket !== undefined && REQUEST_LINE.test(rawPacket.toString('latin1'));
}

/** A visitor that sends nothing in time counts as well as one that sends something else: it may wait for a greeting. */
function isRequest(error: Broken): boolean {
  return (
    systemCode(error) === 'ECONNRESET' || protocolOf(error.rawPacket?.toString('latin1') ?? '') === 'http'
  );
}

function pageOf(error: Error): Page {
  const code = systemCode(error);
  if (code === 'HPE_HEADER_OVERFLOW' || code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return PAGES.tooLarge;
  // Behind TLS, HTTP/2 begins by ALPN alone (RFC 9113, 3.2).
  if (code === 'HPE_PAUSED_H2_UPGRADE') return PAGES.version;
  if (code === 'HPE_INVALID_METHOD' && isRequestLine(error)) return PAGES.unknownMethod;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return PAGES.requestTimeout;
  return PAGES.badRequest;
}
