import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsOptions } from 'node:tls';
import type { WebSocketServer } from 'ws';
import { socketBelow } from '../../net/splice/reset.js';
import { CIPHERS } from '../../net/tls/ciphers.js';
import {
  CONTROL_SUBPROTOCOL,
  DATA_SUBPROTOCOL,
  DATAGRAMS_SUBPROTOCOL,
  LIMITS,
  PATHS,
} from '../../protocol/limits.js';
import { serveConnect } from '../hops/requests.js';
import { controlInWebSockets } from '../http/control-upgrades.js';
import { dataInWebSockets, upgradeData } from '../http/data-upgrades.js';
import { datagramsInWebSockets } from '../http/datagram-upgrades.js';
import { pathOf, refuse, upgradeOf, type Asked } from '../http/messages.js';
import { serve } from '../http/pages.js';
import { upgrades } from '../http/websockets.js';
import { closeServer, receiveSockets, requestLimits } from './http-server.js';
import type { HttpSurfaceOptions, KeyPair } from './http-surface.js';
import type { RequestConnections } from './request-connections.js';

export type SecureServerOptions = Omit<
  HttpSurfaceOptions,
  'url' | 'serves' | 'onHop' | 'turns' | 'onCrowded' | 'maxRequestConnections'
>;

const COMMON = { minVersion: 'TLSv1.2', ciphers: CIPHERS } as const;

/** The relay's HTTPS server: its pages, control channels, data connections, carriers of datagrams, and hops. */
export class SecureServer {
  readonly #options: SecureServerOptions;
  readonly #connections: RequestConnections;
  readonly #server: Server;
  readonly #webSockets: readonly WebSocketServer[];
  #tlsTickets: Pick<TlsOptions, 'ticketKeys'>;

  /** Tells `connections` which of its sockets are no longer in a request. */
  constructor(options: SecureServerOptions, connections: RequestConnections) {
    this.#options = options;
    this.#connections = connections;
    const { tlsTicketKeys, requestHeadMs } = options;
    this.#tlsTickets = tlsTicketKeys ? { ticketKeys: Buffer.from(tlsTicketKeys) } : {};
    this.#server = createServer(
      {
        ...requestLimits(requestHeadMs),
        ...options.tls,
        ...this.#tlsTickets,
        ...COMMON,
        handshakeTimeout: requestHeadMs,
        ALPNProtocols: ['http/1.1'],
      },
      (request, response) => serve(request, response, options),
    );
    this.#webSockets = this.#serveUpgrades();
    this.#server.on('connect', (...asked) => this.#connect(...asked));
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
    receiveSockets(this.#server);
  }

  /** Takes a socket that begins a TLS handshake. */
  take(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  /** Uses `pair` for new TLS sessions; existing ones continue. */
  serveCertificate({ cert, key }: KeyPair): void {
    this.#server.setSecureContext({ cert, key, ...this.#tlsTickets, ...COMMON });
  }

  /** Encrypts and accepts TLS session tickets with these keys from now on. */
  useTlsTicketKeys(keys: Uint8Array): void {
    const ticketKeys = Buffer.from(keys);
    this.#tlsTickets = { ticketKeys };
    this.#server.setTicketKeys(ticketKeys);
  }

  close(): void {
    closeServer(this.#server);
    for (const server of this.#webSockets) server.close();
  }

  /** Returns the servers of the WebSockets. */
  #serveUpgrades(): WebSocketServer[] {
    const options = this.#options;
    const control = upgrades(CONTROL_SUBPROTOCOL, { maxPayload: LIMITS.maxControlMessageBytes });
    const datagrams = upgrades(DATAGRAMS_SUBPROTOCOL, { maxPayload: LIMITS.maxFramesBytes });
    const data = upgrades(DATA_SUBPROTOCOL, { maxPayload: LIMITS.maxDataMessageBytes, autoPong: false });
    const upgradeControl = controlInWebSockets(control, options);
    const upgradeDataInWebSocket = dataInWebSockets(data, options);
    const upgradeDatagrams = datagramsInWebSockets(datagrams, options);
    const upgrade = (asked: Asked): void => {
      const { request, socket } = asked;
      const path = pathOf(request);
      const served = (): void => this.#connections.served(socket);
      // A control channel counts until its client has said hello.
      if (path === PATHS.control) return upgradeControl(asked, served);
      served();
      if (path === PATHS.data && upgradeOf(request) === 'websocket') return upgradeDataInWebSocket(asked);
      if (path === PATHS.data) return upgradeData(asked, 'tls', options);
      if (path === PATHS.datagrams) return upgradeDatagrams(asked);
      return refuse(socket, '404 Not Found');
    };
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      upgrade({ request, socket: socket as Socket, head }),
    );
    return [control, datagrams, data];
  }

  #connect(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const { hops, onTrusted } = this.#options;
    const socket = stream as Socket;
    const below = socketBelow(socket) ?? socket;
    this.#connections.served(socket);
    void serveConnect(hops, { request, socket, head }, () => onTrusted(below), refuse);
  }
}
