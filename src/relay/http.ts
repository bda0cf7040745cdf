import {
  createServer as createHttp,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttps } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws';
import { systemCode } from '../lib/errors.js';
import { CIPHERS } from '../net/ciphers.js';
import { networkOf } from '../net/cidr.js';
import { Crowd } from './crowd.js';
import { serveConnect, servePreface } from './hop-requests.js';
import type { Hops } from './hops.js';
import { socketBelow } from '../net/reset.js';
import { WsSocket } from '../net/ws-socket.js';
import { endWith } from '../net/last-words.js';
import {
  CONTROL_SUBPROTOCOL,
  DATA_MESSAGES,
  DATA_SUBPROTOCOL,
  DATA_UPGRADE,
  DATAGRAMS_SUBPROTOCOL,
  LIMITS,
  PATHS,
} from '../protocol/limits.js';
import { formatWork, WORK_HEADER, type Work } from '../protocol/work.js';
import type { WireCarrier } from '../protocol/messages.js';
import { plainAddress } from './names.js';
import type { TurnedAway } from './sessions.js';
import { shownOn, type ShownTicket } from './shown-ticket.js';
import type { Turns } from './turns.js';

/** The relay's own HTTP surface: one server behind TLS, one for what arrives in the clear. */

/** A certificate chain and its private key, PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface HttpSurface {
  /** A socket that begins a TLS handshake for the relay's own host. */
  tls(socket: Socket): void;
  /** A socket that speaks plain HTTP. */
  plain(socket: Socket): void;
  /** Those who are connected keep their TLS session. */
  serveCertificate(pair: KeyPair): void;
  /** Closes the oldest request of the network that has most; false: the network has no such connection. */
  closeCrowded(): boolean;
  close(): void;
}

/** How a control channel begins. */
export interface ControlBegins {
  /** What its client must do first. */
  readonly work: Work | undefined;
  /** It has said hello: until then, it is one of the connections that ask. */
  readonly greeted: () => void;
}

export interface HttpSurfaceOptions {
  /** The relay's own certificate; while there is none, nobody gets past the handshake. */
  readonly tls: KeyPair | undefined;
  /** The relay's own URL. */
  readonly url: () => string;
  /** A request, and a TLS handshake with the relay itself, is whole within this. */
  readonly requestHeadMs: number;
  readonly maxRequestConnections: number;
  /** Whether visitors of this hostname find a service here. */
  readonly serves: (hostname: string) => boolean;
  /** What an identity sees of its agents: whether the request was one for that. */
  readonly agents?: (request: IncomingMessage, response: ServerResponse, path: string) => boolean;
  readonly descriptor: () => object;
  /** Descriptors of the peers. */
  readonly relays: () => readonly object[];
  readonly hops: Hops;
  /** A connection that a peer passed on, to be looked at as a fresh one. */
  readonly onHop: (socket: Socket) => void;
  /** What is wrong with the relay, as /healthz says it; undefined: nothing. */
  readonly problem: () => string | undefined;
  /** Why no more control channel may begin on this socket; undefined: it may. */
  readonly refuseControl: (socket: Duplex) => TurnedAway | undefined;
  /** TLS handshakes begin in turns. */
  readonly turns: Turns;
  /** Whether there is a descriptor left for a data connection, or a carrier of datagrams. */
  readonly hasDescriptors: (socket: Duplex) => boolean;
  /** This connection came with a good ticket. */
  readonly onTrusted: (socket: Duplex) => void;
  /** A connection gave way to a newer one. */
  readonly onCrowded: () => void;
  /** What the client of a control channel must do first. */
  readonly demandWork: (socket: TLSSocket) => Work | undefined;
  readonly onControl: (ws: WebSocket, socket: TLSSocket, begins: ControlBegins) => void;
  /** Takes the WebSocket of a client that shows a good ticket for datagrams. */
  readonly onDatagrams: (ticket: ShownTicket) => ((ws: WebSocket) => void) | undefined;
  /** Takes the socket and answers true when the ticket is good for the carrier. */
  readonly onData: (ticket: ShownTicket, carrier: WireCarrier) => ((socket: Socket) => void) | undefined;
}

const MIN_VERSION = 'TLSv1.2';
const ABOUT = `This is a Portal relay. It passes TLS connections on to the agents that hold names here; it cannot read them.
Its descriptor: ${PATHS.relay}
`;

/** Upgrades to WebSockets of one subprotocol. */
function upgrades(subprotocol: string, options: ServerOptions): WebSocketServer {
  // `closeTimeout` is not in the types of `ws` yet.
  const common = { noServer: true, perMessageDeflate: false, closeTimeout: LIMITS.closeMs };
  return new WebSocketServer({
    ...common,
    ...options,
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false),
  });
}

export function createHttpSurface(options: HttpSurfaceOptions): HttpSurface {
  const bounds = {
    headersTimeout: options.requestHeadMs,
    requestTimeout: options.requestHeadMs,
    keepAliveTimeout: Math.min(5_000, options.requestHeadMs),
    connectionsCheckingInterval: Math.min(2_000, options.requestHeadMs / 4),
    maxHeaderSize: 16 * 1024,
    maxRequestsPerSocket: 100,
  };
  const websockets = upgrades(CONTROL_SUBPROTOCOL, { maxPayload: LIMITS.maxControlMessageBytes });
  const demanded = new WeakMap<IncomingMessage, Work>();
  websockets.on('headers', (headers, request) => {
    const work = demanded.get(request);
    if (work) headers.push(`${WORK_HEADER}: ${formatWork(work)}`);
  });
  const datagrams = upgrades(DATAGRAMS_SUBPROTOCOL, { maxPayload: LIMITS.maxFramesBytes });
  const data = upgrades(DATA_SUBPROTOCOL, { maxPayload: LIMITS.maxDataMessageBytes, autoPong: false });

  const secure = createHttps(
    {
      ...bounds,
      ...options.tls,
      handshakeTimeout: options.requestHeadMs,
      ALPNProtocols: ['http/1.1'],
      minVersion: MIN_VERSION,
      ciphers: CIPHERS,
    },
    (request, response) => serve(request, response, options),
  );
  secure.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const path = pathOf(request);
    const greeted = (): boolean => asking.delete(socketBelow(socket as Socket) ?? socket);
    if (path !== PATHS.control) greeted();
    if (path === PATHS.data && upgradeOf(request) === 'websocket')
      return upgradeDataInWebSocket(request, socket as Socket, head);
    if (path === PATHS.data) return upgradeData(request, socket as Socket, head, 'tls', options);
    if (path === PATHS.datagrams) return upgradeDatagrams(request, socket as Socket, head);
    if (path !== PATHS.control) return refuse(socket, '404 Not Found');
    if (!offers(request, CONTROL_SUBPROTOCOL)) return refuse(socket, '400 Bad Request');
    const turnedAway = options.refuseControl(socket);
    if (turnedAway) return turnAway(socket, turnedAway);
    socket.on('error', () => undefined);
    const work = options.demandWork(socket as TLSSocket);
    if (work) demanded.set(request, work);
    websockets.handleUpgrade(request, socket, head, (ws) => {
      options.onControl(ws, socket as TLSSocket, { work, greeted });
    });
  });
  const upgradeDataInWebSocket = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    const ticket = shownOn(socket, request.headers.authorization);
    // An agent says nothing before the start byte.
    const isFit = offers(request, DATA_SUBPROTOCOL) && head.length === 0;
    if (!ticket || !isFit) return refuse(socket, '400 Bad Request');
    if (!options.hasDescriptors(socket)) return refuse(socket, '503 Service Unavailable');
    const take = options.onData(ticket, 'ws');
    if (!take) return refuse(socket, '403 Forbidden');
    options.onTrusted(socketBelow(socket) ?? socket);
    socket.on('error', () => undefined);
    data.handleUpgrade(request, socket, head, (ws) => take(new WsSocket(ws, DATA_MESSAGES)));
  };
  const upgradeDatagrams = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    const ticket = shownOn(socket, request.headers.authorization);
    if (!ticket || !offers(request, DATAGRAMS_SUBPROTOCOL)) return refuse(socket, '400 Bad Request');
    const take = options.onDatagrams(ticket);
    if (!take) return refuse(socket, '403 Forbidden');
    options.onTrusted(socketBelow(socket) ?? socket);
    socket.on('error', () => undefined);
    datagrams.handleUpgrade(request, socket, head, take);
  };
  secure.on('connect', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const socket = stream as Socket;
    const below = socketBelow(socket) ?? socket;
    asking.delete(below);
    void serveConnect(options.hops, { request, socket, head }, () => options.onTrusted(below), refuse);
  });
  secure.on('tlsClientError', (_error, socket) => socket.destroy());

  // Nothing is served in the clear but the way to https.
  const clear = createHttp(bounds, (request, response) => {
    const location = secureUrl(request, options);
    const head = { ...(location === undefined ? NOT_HERE : { location }), ...closeUnlessBody(request) };
    response.writeHead(location === undefined ? 404 : 308, head).end();
  });
  // A 100 would invite the whole body of a request that is only told to go elsewhere.
  clear.on('checkContinue', (request, response) => clear.emit('request', request, response));
  clear.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    asking.delete(socket);
    const path = pathOf(request);
    if (path === PATHS.data) upgradeData(request, socket as Socket, head, 'raw', options);
    else if (path === PATHS.hop)
      servePreface(
        options.hops,
        { request, socket: socket as Socket, head },
        () => options.onHop(socket as Socket),
        refuse,
      );
    // To h2c, say: whoever offers an upgrade takes an ordinary answer too (RFC 9110 §7.8).
    else {
      const location = secureUrl(request, options);
      if (location === undefined) refuse(socket, '404 Not Found', 'Cache-Control: no-store\r\n');
      else refuse(socket, '308 Permanent Redirect', `Location: ${location}\r\n`);
    }
  });

  for (const server of [secure, clear]) {
    // The front listens; these servers get their sockets from it, so their own time keeping must be started.
    startTimekeeping(server);
    server.on('clientError', (error, socket: Duplex) => {
      refuse(socket, STATUS_OF[systemCode(error) ?? ''] ?? '400 Bad Request');
    });
  }

  /** Connections in a TLS handshake or an HTTP exchange, and control channels without a hello: a TLS session takes much memory. */
  const asking = new Crowd<Duplex>();
  const closeCrowded = (): boolean => {
    const crowded = asking.crowded();
    if (!crowded) return false;
    asking.delete(crowded);
    crowded.destroy();
    return true;
  };
  const ask = (socket: Socket, network: string): void => {
    asking.add(socket, network);
    if (asking.size > options.maxRequestConnections && closeCrowded()) options.onCrowded();
    socket.once('close', () => asking.delete(socket));
  };

  return {
    tls: (socket) => {
      const network = networkOf(plainAddress(socket.remoteAddress));
      ask(socket, network);
      options.turns.take('tls', network, () => {
        if (!socket.destroyed) secure.emit('connection', socket);
      });
    },
    plain: (socket) => {
      ask(socket, networkOf(plainAddress(socket.remoteAddress)));
      clear.emit('connection', socket);
      // The front paused it to look at its first bytes, and a paused socket tells no listener of any.
      socket.resume();
    },
    closeCrowded,
    serveCertificate: ({ cert, key }) =>
      secure.setSecureContext({ cert, key, minVersion: MIN_VERSION, ciphers: CIPHERS }),
    close: () => {
      for (const server of [secure, clear]) {
        server.close();
        server.closeAllConnections();
      }
      // Control channels without a hello, which no server counts any more.
      for (const socket of asking) socket.destroy();
      websockets.close();
      datagrams.close();
      data.close();
    },
  };
}

const STATUS_OF: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

const NOT_HERE = { 'cache-control': 'no-store' };

/**
 * Where a request in the clear belongs: the same host if its name is one of ours; the relay itself where it names none, as
 * with an IP address. Undefined for other names: their agents may come, and browsers remember a 308.
 */
function secureUrl(request: IncomingMessage, options: HttpSurfaceOptions): string | undefined {
  const url = new URL(options.url());
  const host = (request.headers.host ?? '').toLowerCase().replace(/:\d*$/, '');
  const name = /^([a-z0-9._-]+?)\.?$/.exec(host)?.[1];
  if (name !== undefined && (name.endsWith(`.${url.hostname}`) || options.serves(name))) url.hostname = name;
  else if (host !== '' && name !== url.hostname && isIP(host.replace(/^\[|\]$/g, '')) === 0) return undefined;
  const path = request.url?.startsWith('/') ? request.url : '/';
  // Node's parser lets bytes through that it lets no one send in a header.
  return url.origin + path.replace(/[^!-~]/g, (byte) => encodeURIComponent(byte));
}

/**
 * Closing while a body still comes in would reset the connection and take the answer with it; the rest is
 * read and dropped then, within `requestHeadMs`.
 */
function closeUnlessBody({ headers }: IncomingMessage): { connection?: 'close' } {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  return hasBody ? {} : { connection: 'close' };
}

/**
 * A server's header and request timeouts are checked by an interval that node starts on `listening`; a server
 * that is handed its sockets never emits it, and a slow-loris would hold on for ever.
 */
function startTimekeeping(server: HttpServer): void {
  server.emit('listening');
}

function serve(request: IncomingMessage, response: ServerResponse, options: HttpSurfaceOptions): void {
  response.setHeader('x-robots-tag', 'noindex');
  response.setHeader('cache-control', 'no-store');
  if (options.agents?.(request, response, pathOf(request))) return;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD', ...closeUnlessBody(request) }).end();
    return;
  }
  switch (pathOf(request)) {
    case '/':
      return send(response, 200, 'text/plain; charset=utf-8', ABOUT);
    case PATHS.relay:
      return send(response, 200, 'application/json', `${JSON.stringify(options.descriptor())}\n`);
    case PATHS.relays:
      return send(response, 200, 'application/json', `${JSON.stringify({ relays: options.relays() })}\n`);
    case PATHS.health: {
      const problem = options.problem();
      return send(response, problem === undefined ? 200 : 503, 'text/plain', `${problem ?? 'ok'}\n`);
    }
    case PATHS.control:
    case PATHS.datagrams:
    case PATHS.data:
      response.setHeader('upgrade', pathOf(request) === PATHS.data ? DATA_UPGRADE : 'websocket');
      return send(response, 426, 'text/plain', 'upgrade required\n');
    default:
      return send(response, 404, 'text/plain', 'not found\n');
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}

function upgradeData(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  carrier: WireCarrier,
  options: HttpSurfaceOptions,
): void {
  const ticket = shownOn(socket, request.headers.authorization);
  const isData = upgradeOf(request) === DATA_UPGRADE && request.method === 'GET';
  // An agent says nothing before the start byte.
  if (!isData || !ticket || head.length > 0) return refuse(socket, '400 Bad Request');
  if (!options.hasDescriptors(socket)) return refuse(socket, '503 Service Unavailable');
  const take = options.onData(ticket, carrier);
  if (!take) return refuse(socket, '403 Forbidden');
  options.onTrusted(socketBelow(socket) ?? socket);
  socket.on('error', () => undefined);
  socket.setTimeout(0);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${DATA_UPGRADE}\r\n\r\n`);
  take(socket);
}

function upgradeOf({ headers }: IncomingMessage): string | undefined {
  return headers.upgrade?.toLowerCase();
}

function offers(request: IncomingMessage, subprotocol: string): boolean {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  return offered.split(',').some((name) => name.trim() === subprotocol);
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0]!;
}

/** Says why in JSON, so that an agent can tell its user. */
function turnAway(socket: Duplex, { status, retryAfterSeconds, code, message }: TurnedAway): void {
  const headers = `Retry-After: ${retryAfterSeconds}\r\nContent-Type: application/json\r\n`;
  refuse(socket, status, headers, `${JSON.stringify({ code, message })}\n`);
}

function refuse(socket: Duplex, status: string, headers = '', body = ''): void {
  socket.on('error', () => undefined);
  const length = Buffer.byteLength(body);
  const answer = `HTTP/1.1 ${status}\r\n${headers}Connection: close\r\nContent-Length: ${length}\r\n\r\n${body}`;
  endWith(socket, answer, LIMITS.lingerMs);
}
