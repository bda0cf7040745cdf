import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { WebSocket, WebSocketServer } from 'ws';
import { socketBelow } from '../../net/splice/reset.js';
import { WsSocket } from '../../net/websocket/socket.js';
import { DATA_MESSAGES, DATA_SUBPROTOCOL, DATA_UPGRADE } from '../../protocol/limits.js';
import type { WireCarrier } from '../../protocol/messages.js';
import { confirmReuse, REUSE, REUSE_HEADER } from '../../protocol/reuse.js';
import { SharedConnection, SingleConnection, type DataConnection } from '../data/data-connection.js';
import type { HttpSurfaceOptions } from '../public-port/http-surface.js';
import { whenRedeemed, type TakeData } from '../tickets/redeemed.js';
import { shownAgainOn, shownOn } from '../tickets/shown-ticket.js';
import { offers, refuse, upgradeOf, type Asked } from './messages.js';

/** Upgrades to data connections. An agent sends no data before the visitor comes. */

type Options = Pick<HttpSurfaceOptions, 'hasDescriptors' | 'onData' | 'onTrusted' | 'ticketTag'>;

export function upgradeData(asked: Asked, carrier: 'raw' | 'tls', options: Options): void {
  const { request, socket } = asked;
  const isData = upgradeOf(request) === DATA_UPGRADE && request.method === 'GET';
  whenAdmitted(asked, isData, carrier, options, (take) => {
    socket.setTimeout(0);
    // A new TCP connection costs less than frames.
    const isShared = carrier === 'tls' && asksForReuse(request);
    const reuse = isShared ? `${REUSE_HEADER}: ${confirmReuse(options.ticketTag)}\r\n` : '';
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${DATA_UPGRADE}\r\n${reuse}\r\n`,
    );
    take(connectionOn(socket, { carrier, isShared, authenticated: socket }, options));
  });
}

/** The same in WebSockets, which `server` upgrades. */
export function dataInWebSockets(server: WebSocketServer, options: Options): (asked: Asked) => void {
  server.on('headers', (headers, request) => {
    if (asksForReuse(request)) headers.push(`${REUSE_HEADER}: ${confirmReuse(options.ticketTag)}`);
  });
  return (asked) => {
    const { request, socket, head } = asked;
    whenAdmitted(asked, offers(request, DATA_SUBPROTOCOL), 'ws', options, (take) => {
      const opened = (ws: WebSocket): void => {
        const how = { carrier: 'ws', isShared: asksForReuse(request), authenticated: socket } as const;
        take(connectionOn(new WsSocket(ws, DATA_MESSAGES), how, options));
      };
      server.handleUpgrade(request, socket, head, opened);
    });
  };
}

/** Calls `then` if the request has a valid ticket. Otherwise, refuses it. `isData`: it asks for a data connection. */
function whenAdmitted(
  { request, socket, head }: Asked,
  isData: boolean,
  carrier: WireCarrier,
  { hasDescriptors, onData, onTrusted }: Options,
  then: (take: TakeData) => void,
): void {
  const ticket = shownOn(socket, request.headers.authorization);
  if (!isData || !ticket || head.length > 0) return refuse(socket, '400 Bad Request');
  if (!hasDescriptors(socket)) return refuse(socket, '503 Service Unavailable');
  whenRedeemed(onData(ticket, carrier), (take) => {
    if (!take) return refuse(socket, '403 Forbidden');
    onTrusted(socketBelow(socket) ?? socket);
    socket.on('error', () => undefined);
    then(take);
  });
}

interface How {
  readonly carrier: WireCarrier;
  readonly isShared: boolean;
  /** The TLS session that tickets are proven for. */
  readonly authenticated: Socket;
}

function connectionOn(
  socket: Socket,
  { carrier, isShared, authenticated }: How,
  { onData }: Options,
): DataConnection {
  if (!isShared) return new SingleConnection(socket);
  const read = shownAgainOn(authenticated);
  return new SharedConnection(socket, (text) => {
    const shown = read(text);
    return shown && onData(shown, carrier);
  });
}

function asksForReuse({ headers }: IncomingMessage): boolean {
  return headers[REUSE_HEADER] === REUSE;
}
