import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import { networkOf } from '../../net/cidr.js';
import { clientOf, plainAddress } from '../../net/client-address.js';
import type { WireCarrier } from '../../protocol/messages.js';
import type { Work } from '../../protocol/work.js';
import type { Hops } from '../hops/hops.js';
import type { PageParts } from '../http/pages.js';
import type { RedirectParts } from '../http/redirect.js';
import type { ForwardedDatagrams } from '../nodes/links.js';
import type { Turns } from '../protection/turns.js';
import type { Rejection } from '../sessions/sessions.js';
import type { Redeeming } from '../tickets/redeemed.js';
import type { ShownTicket } from '../tickets/shown-ticket.js';
import { closeServer } from './http-server.js';
import { createPlainServer } from './plain-server.js';
import { RequestConnections } from './request-connections.js';
import { SecureServer } from './secure-server.js';

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
  /** Encrypts and accepts TLS session tickets with these keys from now on. */
  useTlsTicketKeys(keys: Uint8Array): void;
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
  readonly tlsTicketKeys: Uint8Array | undefined;
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

export function createHttpSurface(options: HttpSurfaceOptions): HttpSurface {
  const connections = new RequestConnections(options);
  const secure = new SecureServer(options, connections);
  const plain = createPlainServer(options, connections);
  const count = (socket: Socket): string => {
    const network = networkOf(plainAddress(clientOf(socket).address));
    connections.add(socket, network);
    return network;
  };
  return {
    tls: (socket) => {
      options.turns.take('tls', count(socket), () => {
        if (!socket.destroyed) secure.take(socket);
      });
    },
    plain: (socket) => {
      count(socket);
      plain.emit('connection', socket);
      // The front paused the socket to read its first bytes, and a paused socket emits no data.
      socket.resume();
    },
    closeCrowded: () => connections.closeCrowded(),
    serveCertificate: (pair) => secure.serveCertificate(pair),
    useTlsTicketKeys: (keys) => secure.useTlsTicketKeys(keys),
    close: () => {
      secure.close();
      closeServer(plain);
      // No server counts a control channel that has not sent hello.
      connections.close();
    },
  };
}
