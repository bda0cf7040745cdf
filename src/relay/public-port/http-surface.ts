import { clientOf, plainAddress } from '../../net/client-address.js';
import { createServer as createHttp, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { systemCode } from '../../lib/errors.js';
import { CIPHERS } from '../../net/tls/ciphers.js';
import { networkOf } from '../../net/cidr.js';
import { NetworkTable } from '../../net/network-table.js';
import { serveConnect, servePreface } from '../hops/requests.js';
import type { Hops } from '../hops/hops.js';
import { dataInWebSockets, upgradeData } from '../http/data-upgrades.js';
import { datagramsInWebSockets } from '../http/datagram-upgrades.js';
import { offers, pathOf, refuse, reject, upgradeOf } from '../http/messages.js';
import { type PageParts, serve } from '../http/pages.js';
import { redirect, redirectUpgrade, type RedirectParts } from '../http/redirect.js';
import { upgrades } from '../http/websockets.js';
import { socketBelow } from '../../net/splice/reset.js';
import {
  CONTROL_SUBPROTOCOL,
  DATA_SUBPROTOCOL,
  DATAGRAMS_SUBPROTOCOL,
  LIMITS,
  PATHS,
} from '../../protocol/limits.js';
import { formatWork, WORK_HEADER, type Work } from '../../protocol/work.js';
import type { WireCarrier } from '../../protocol/messages.js';
import type { Redeeming } from '../tickets/redeemed.js';
import type { Rejection } from '../sessions/sessions.js';
import type { ForwardedDatagrams } from '../nodes/links.js';
import type { ShownTicket } from '../tickets/shown-ticket.js';
import type { Turns } from '../protection/turns.js';

/** The relay's own HTTP surface: one server behind TLS, one for plain HTTP. */

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
  /** Uses `pair` for new TLS sessions; existing ones continue. */
  serveCertificate(pair: KeyPair): void;
  /** Encrypts and accepts session tickets with these keys from now on. */
  useTicketKeys(keys: Uint8Array): void;
  /** Closes the oldest request of the network with the most requests; false if there are no requests. */
  closeCrowded(): boolean;
  close(): void;
}

/** How a control channel starts. */
export interface ControlBegins {
  /** The proof of work that its client must do first. */
  readonly work: Work | undefined;
  /** Called at `hello`. Until then the channel counts towards `maxRequestConnections`. */
  readonly greeted: () => void;
}

export interface HttpSurfaceOptions extends PageParts, RedirectParts {
  /** The relay's own certificate. Without one, every TLS handshake fails. */
  readonly tls: KeyPair | undefined;
  /** Keys of TLS session tickets. Default: random. */
  readonly ticketKeys: Uint8Array | undefined;
  /** Timeout of a request head, and of a TLS handshake with the relay itself. */
  readonly requestHeadMs: number;
  readonly maxRequestConnections: number;
  readonly hops: Hops;
  /** Handles a connection that a peer forwarded like a new one. */
  readonly onHop: (socket: Socket) => void;
  /** Why this socket cannot open a control channel now; undefined if it can. */
  readonly refuseControl: (socket: Duplex) => Rejection | undefined;
  /** Networks take turns with TLS handshakes. */
  readonly turns: Turns;
  /** Whether a file descriptor is free for a data connection or a carrier of datagrams. */
  readonly hasDescriptors: (socket: Duplex) => boolean;
  /** Called for a connection with a valid ticket. */
  readonly onTrusted: (socket: Duplex) => void;
  /** Called when a connection was closed to make room for a newer one. */
  readonly onCrowded: () => void;
  /** The proof of work that the client of a control channel must do first. */
  readonly demandWork: (socket: TLSSocket) => Work | undefined;
  readonly onControl: (ws: WebSocket, socket: TLSSocket, begins: ControlBegins) => void;
  /** What takes the WebSocket of a client whose ticket for datagrams is valid; undefined if it is invalid. */
  readonly onDatagrams: (ticket: ShownTicket) => ((ws: WebSocket) => void) | undefined;
  /** What forwards the connection of a client whose ticket for datagrams is of another node; undefined if it is invalid. */
  readonly forwardDatagrams: (
    datagrams: ForwardedDatagrams,
  ) => Promise<((socket: Socket) => void) | undefined>;
  /** What begins the names of tickets that this node issues. */
  readonly ticketTag: string;
  /** What takes the connection of a client whose ticket is valid for the carrier; undefined if it is invalid. */
  readonly onData: (ticket: ShownTicket, carrier: WireCarrier) => Redeeming;
}

const MIN_VERSION = 'TLSv1.2';

export function createHttpSurface(options: HttpSurfaceOptions): HttpSurface {
  const timeouts = {
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
  const upgradeDataInWebSocket = dataInWebSockets(data, options);
  const upgradeDatagrams = datagramsInWebSockets(datagrams, options);

  let tickets = options.ticketKeys && { ticketKeys: Buffer.from(options.ticketKeys) };
  const secure = createHttps(
    {
      ...timeouts,
      ...options.tls,
      ...tickets,
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
    const asked = { request, socket: socket as Socket, head };
    if (path === PATHS.data && upgradeOf(request) === 'websocket') return upgradeDataInWebSocket(asked);
    if (path === PATHS.data) return upgradeData(asked, 'tls', options);
    if (path === PATHS.datagrams) return upgradeDatagrams(asked);
    if (path !== PATHS.control) return refuse(socket, '404 Not Found');
    if (!offers(request, CONTROL_SUBPROTOCOL)) return refuse(socket, '400 Bad Request');
    const rejection = options.refuseControl(socket);
    if (rejection) return reject(socket, rejection);
    socket.on('error', () => undefined);
    const work = options.demandWork(socket as TLSSocket);
    if (work) demanded.set(request, work);
    websockets.handleUpgrade(request, socket, head, (ws) => {
      options.onControl(ws, socket as TLSSocket, { work, greeted });
    });
  });
  secure.on('connect', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const socket = stream as Socket;
    const below = socketBelow(socket) ?? socket;
    asking.delete(below);
    void serveConnect(options.hops, { request, socket, head }, () => options.onTrusted(below), refuse);
  });
  secure.on('tlsClientError', (_error, socket) => socket.destroy());

  // Plain HTTP only redirects to https.
  const clear = createHttp(timeouts, (request, response) => redirect(request, response, options));
  // A 100 would invite the whole body of a request that gets a redirect.
  clear.on('checkContinue', (request, response) => clear.emit('request', request, response));
  clear.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    asking.delete(socket);
    const path = pathOf(request);
    if (path === PATHS.data) upgradeData({ request, socket: socket as Socket, head }, 'raw', options);
    else if (path === PATHS.hop)
      servePreface(
        options.hops,
        { request, socket: socket as Socket, head },
        () => options.onHop(socket as Socket),
        refuse,
      );
    else redirectUpgrade(request, socket, options);
  });

  for (const server of [secure, clear]) {
    // The front listens and hands over sockets, so these servers never start their own timers.
    startTimekeeping(server);
    server.on('clientError', (error, socket: Duplex) => {
      refuse(socket, STATUS_OF[systemCode(error) ?? ''] ?? '400 Bad Request');
    });
  }

  /** Connections in a TLS handshake or HTTP exchange, and control channels before `hello`. Limited, since a TLS session needs much memory. */
  const asking = new NetworkTable<Duplex>();
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
      const network = networkOf(plainAddress(clientOf(socket).address));
      ask(socket, network);
      options.turns.take('tls', network, () => {
        if (!socket.destroyed) secure.emit('connection', socket);
      });
    },
    plain: (socket) => {
      ask(socket, networkOf(plainAddress(clientOf(socket).address)));
      clear.emit('connection', socket);
      // The front paused the socket to read its first bytes, and a paused socket emits no data.
      socket.resume();
    },
    closeCrowded,
    serveCertificate: ({ cert, key }) =>
      secure.setSecureContext({ cert, key, ...tickets, minVersion: MIN_VERSION, ciphers: CIPHERS }),
    useTicketKeys: (keys) => {
      const ticketKeys = Buffer.from(keys);
      tickets = { ticketKeys };
      secure.setTicketKeys(ticketKeys);
    },
    close: () => {
      for (const server of [secure, clear]) {
        server.close();
        server.closeAllConnections();
      }
      // No server counts a control channel that has not sent hello.
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

/**
 * Node checks header and request timeouts from an interval that starts on `listening`. A server that receives its sockets
 * never emits that event, and a slow-loris client would stay connected forever.
 */
function startTimekeeping(server: HttpServer): void {
  server.emit('listening');
}
