import { createServer, METHODS, ServerResponse, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemCode } from '../../../../lib/errors.js';
import { endWith } from '../../../../net/splice/last-words.js';
import { cut } from './cut.js';
import type { HttpLimits } from '../limits.js';
import { protocolOf } from '../../../pages/first-line.js';
import type { Client, Exchange } from '../exchange/exchange.js';
import { respondWith } from '../exchange/own-response.js';
import { H1Exchange, hasBody } from './h1-exchange.js';
import { rawPage, type Page } from '../../../pages/page.js';
import { PAGES } from '../../../pages/pages.js';
import { Pipeline } from './pipeline.js';

/** HTTP/1.1 and 1.0 towards visitors: Node's parser in strict mode, plus the checks that it leaves to its user. */

export interface H1Options {
  readonly limits: HttpLimits;
  readonly clientOf: (socket: Socket) => Client | undefined;
  readonly serve: (exchange: Exchange) => void;
  /** True once no more requests are accepted. */
  readonly draining: () => boolean;
  /** Called when a visitor does not speak HTTP. */
  readonly onNotHttp: () => void;
  /** Called when a request is rejected before `serve`, by Node's parser or by the checks here. */
  readonly onRejected?: (client: Client, rejected: Rejected) => void;
}

export interface Rejected {
  readonly asked: Pick<Exchange, 'method' | 'target' | 'authority' | 'headers'> & {
    readonly version: string;
  };
  readonly page: Page;
  /** The parser's error message. */
  readonly why?: string | undefined;
}

export function createH1(options: H1Options): Server {
  const { limits } = options;
  const server = createServer({
    headersTimeout: limits.requestHeadMs,
    // A body may take any time while it moves.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(2_000, limits.requestHeadMs / 4),
    maxHeaderSize: limits.maxHeadBytes,
    insecureHTTPParser: false,
    // Portal rejects these itself, with a helpful page.
    requireHostHeader: false,
    noDelay: true,
  });
  // Node would silently drop the rest. We reject.
  server.maxHeadersCount = 0;
  server.timeout = limits.stalledMs;
  server.on('timeout', cut);
  const take = (
    request: IncomingMessage,
    response: ServerResponse,
    expectsContinue: boolean,
    head?: Buffer,
  ): void => {
    const client = options.clientOf(request.socket);
    if (!client) return void request.socket.destroy();
    if (options.draining()) response.shouldKeepAlive = false;
    const exchange = new H1Exchange(client, request, response, expectsContinue, limits.lingerMs, head);
    const refusal = refusalOf(request, exchange, limits);
    if (refusal === PAGES.version) options.onNotHttp();
    if (!refusal) return options.serve(exchange);
    refuse(exchange, response, refusal);
    options.onRejected?.(client, {
      asked: { ...namesOf(exchange), version: request.httpVersion },
      page: refusal,
    });
  };
  const turns = new Pipeline(limits.maxStreams);
  const inTurn = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void =>
    turns.take(request.socket, () => {
      take(request, response, expectsContinue);
      return response;
    });
  server.on('request', (request, response) => inTurn(request, response, false));
  server.on('checkContinue', (request, response) => inTurn(request, response, true));
  server.on('checkExpectation', (request, response) => inTurn(request, response, true));
  // The parser has detached: the next response is the last on the connection.
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
    endWith(socket, rawPage(PAGES.methodNotAllowed), limits.lingerMs);
  });
  const broken = new WeakSet<Duplex>();
  server.on('clientError', (error, socket: Duplex) => {
    // The parser reports each further input again.
    if (broken.has(socket) && systemCode(error) !== 'ECONNRESET') return;
    broken.add(socket);
    if (!isRequest(error)) options.onNotHttp();
    const client = options.clientOf(socket as Socket);
    const rejected = client && rejectedBy(error, socket, client);
    if (client && rejected) options.onRejected?.(client, rejected);
    if (!socket.writable || systemCode(error) === 'ECONNRESET') socket.destroy();
    else endBroken(socket, error, limits.lingerMs);
  });
  // Its timers start on `listening`, which never happens for a server without a port.
  server.emit('listening');
  return server;
}

/**
 * The parser has failed on this connection. Earlier complete requests get their responses. Then the visitor gets an
 * error response, unless the response to the broken request has started.
 */
function endBroken(socket: Duplex, error: Error, lingerMs: number): void {
  // The response in progress; node exposes it only here.
  const { _httpMessage: current } = socket as { _httpMessage?: ServerResponse | null };
  if (current?.req.complete) current.once('finish', () => endBroken(socket, error, lingerMs));
  else endWith(socket, current?.headersSent ? '' : rawPage(pageOf(error)), lingerMs);
}

const MAX_SHOWN_TARGET = 2_048;

/** The request that the parser rejects, as far as it is known. Undefined if it is listed already, or it sent nothing. */
function rejectedBy(error: Broken, socket: Duplex, client: Client): Rejected | undefined {
  const { _httpMessage: current } = socket as { _httpMessage?: ServerResponse | null };
  if (error.rawPacket === undefined || (current && !current.req.complete)) return undefined;
  const start = error.rawPacket.toString('latin1', 0, 2 * MAX_SHOWN_TARGET).trimStart();
  const [, method = '?', target = '?', version = ''] = FIRST_LINE.exec(start) ?? [];
  const asked = {
    method,
    target: target.slice(0, MAX_SHOWN_TARGET),
    authority: client.hostname,
    headers: [],
    version,
  };
  return { asked, page: pageOf(error), why: error.reason };
}

const namesOf = ({ method, target, authority, headers }: Exchange): Omit<Rejected['asked'], 'version'> => ({
  method,
  target,
  authority,
  headers,
});

/** The checks that Node's parser lacks. */
function refusalOf(request: IncomingMessage, exchange: H1Exchange, limits: HttpLimits): Page | undefined {
  const { httpVersionMajor, httpVersionMinor, rawHeaders } = request;
  if (httpVersionMajor !== 1 || isOtherProtocol(request)) return PAGES.version;
  if (rawHeaders.length > 2 * limits.maxHeaders) return PAGES.tooLarge;
  if (exchange.contradictory || exchange.hosts > 1 || (exchange.hosts === 0 && httpVersionMinor > 0))
    return PAGES.badRequest;
  const { expect, 'transfer-encoding': coding } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') return PAGES.expectationFailed;
  // After a request to switch protocols, no body is read.
  if (exchange.upgrade !== undefined && hasBody(request)) return PAGES.badRequest;
  if (coding === undefined) return undefined;
  if (httpVersionMinor === 0) return PAGES.badRequest;
  return coding.toLowerCase() === 'chunked' ? undefined : PAGES.notImplemented;
}

const HTTP_METHODS = new Set(METHODS);

/**
 * Node's parser also accepts `SOURCE … ICE/1.0` and RTSP/1.0 as HTTP/1.0. Their methods, and the CSeq of every RTSP request
 * (RFC 2326, 12.17), identify them.
 */
function isOtherProtocol({ httpVersionMinor, method = '', headers }: IncomingMessage): boolean {
  if (!HTTP_METHODS.has(method)) return true;
  return httpVersionMinor === 0 && (method === 'SOURCE' || headers['cseq'] !== undefined);
}

function refuse(exchange: Exchange, response: ServerResponse, page: Page): void {
  response.shouldKeepAlive = false;
  respondWith(exchange, page);
}

function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => socket.destroySoon());
  return response;
}

/** A request line that is valid except for an unknown method. */
const REQUEST_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP\/1\.[01]\r$/m;

/** The beginning of a possible request. */
const FIRST_LINE = /^([A-Za-z]{1,20}) (\S+)(?: HTTP\/(\d\.\d))?/;

interface Broken extends Error {
  /** Why the parser stopped. */
  readonly reason?: string;
  /** The parser's last input. */
  readonly rawPacket?: Buffer;
}

function isRequestLine({ rawPacket }: Broken): boolean {
  return rawPacket !== undefined && REQUEST_LINE.test(rawPacket.toString('latin1'));
}

/** A visitor that sends nothing counts like one with another protocol: it may wait for a greeting. */
function isRequest(error: Broken): boolean {
  return (
    systemCode(error) === 'ECONNRESET' || protocolOf(error.rawPacket?.toString('latin1') ?? '') === 'http'
  );
}

function pageOf(error: Broken): Page {
  const code = systemCode(error);
  if (code === 'HPE_HEADER_OVERFLOW' || code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return PAGES.tooLarge;
  // Over TLS, HTTP/2 starts by ALPN only (RFC 9113, 3.2).
  if (code === 'HPE_PAUSED_H2_UPGRADE') return PAGES.version;
  if (code === 'HPE_INVALID_METHOD' && isRequestLine(error)) return PAGES.unknownMethod;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return PAGES.requestTimeout;
  return PAGES.badRequest;
}
