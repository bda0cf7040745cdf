import { createServer, type Server, type Socket } from 'node:net';
import { attendedNow } from '../lib/stalls.js';
import { readClientHello } from '../net/client-hello.js';
import { networkOf } from '../net/cidr.js';
import { Crowd } from './crowd.js';
import { resetSocket } from '../net/reset.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';
import { listen, type ListenAt, type Listening, type TakeOver } from './listen.js';
import { plainAddress } from './names.js';
import { ALERTS, refuse } from './refuse.js';

/**
 * The public port: looks at the first bytes of each connection, never past the ClientHello, and hands the
 * socket on with those bytes. What it cannot place within its limits it closes.
 */

interface FrontRoutes {
  /** TLS for a leased hostname, or for an unknown one (`false` then, and the socket stays with the front). */
  visitor(hello: { serverName: string; alpn: readonly string[] }, socket: Socket, head: Buffer): boolean;
  /** TLS for the relay's own host; `head` is back in the socket. */
  ownTls(socket: Socket, alpn: readonly string[]): void;
  /** Not TLS; `head` is back in the socket. */
  plain(socket: Socket): void;
}

export interface FrontOptions extends ListenAt {
  readonly firstBytesMs: number;
  readonly maxUnroutedConnections: number;
  readonly maxUnroutedBytes: number;
  /** Hears of each connection. */
  readonly arrived: () => void;
  /** Whether its address may have one more connection. */
  readonly admits: (socket: Socket) => boolean;
  /** Whether a connection that was just accepted leaves the descriptors that are reserved. */
  readonly hasDescriptors: (socket: Socket) => boolean;
  /** Closes a connection that has said what it is, and asks the relay for something; false: the network has no such connection. */
  readonly closeRequest: () => boolean;
  /** A connection that had not said what it is gave way. */
  readonly evicted: (limit: 'maxUnroutedConnections' | 'maxUnroutedBytes') => void;
  /** Whether TLS for this server name (undefined: the client named none) is for the relay itself. */
  readonly isOwn: (serverName: string | undefined) => boolean;
  readonly routes: FrontRoutes;
}

/** A connection that has not said yet what it is. */
class Arrival {
  readonly socket: Socket;
  readonly since = attendedNow();
  /** Grows by doubling: whoever sends byte by byte must not make the relay keep an object for each. */
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  #need = 1;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** All bytes so far, once there are enough for another look; parsing costs nothing per small segment. */
  add(chunk: Buffer): Buffer | undefined {
    const length = this.#length + chunk.length;
    if (this.#length === 0) this.#bytes = chunk;
    else {
      if (length > this.#bytes.length) {
        const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length));
        this.#bytes.copy(grown, 0, 0, this.#length);
        this.#bytes = grown;
      }
      chunk.copy(this.#bytes, this.#length);
    }
    this.#length = length;
    return length < this.#need ? undefined : this.#bytes.subarray(0, length);
  }

  needs(bytes: number): void {
    this.#need = bytes;
  }
}

export class Front {
  readonly #options: FrontOptions;
  #servers: readonly Server[] = [];
  /** Those of the port for plain HTTP. */
  #plainServers: readonly Server[] = [];
  /** In order of arrival, and so of expiry. */
  readonly #arrivals = new Crowd<Arrival>();
  /** Every connection that is open, whoever it was handed to. */
  readonly #sockets = new Set<Socket>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#expire(), Math.min(1_000, options.firstBytesMs / 4)).unref();
  }

  /** Starts listening; resolves with where. */
  async listen(takeOver?: TakeOver): Promise<Listening> {
    const at = await listen(() => this.#server((socket) => this.take(socket)), this.#options, takeOver);
    this.#servers = at.servers;
    return at;
  }

  /** The same at another port, where nothing but plain HTTP is answered. */
  async listenPlain(at: ListenAt, takeOver?: TakeOver): Promise<Listening> {
    const create = (): Server => this.#server((socket) => this.take(socket, { only: 'plain' }));
    const listening = await listen(create, at, takeOver);
    this.#plainServers = listening.servers;
    return listening;
  }

  #server(take: (socket: Socket) => void): Server {
    const server = createServer(
      {
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 30_000,
        highWaterMark: SOCKET_BUFFER_BYTES,
      },
      (socket) => this.#arrive(socket, take),
    );
    // Running out of descriptors must not end the relay: accepting goes on when some are free again.
    server.on('listening', () => server.on('error', () => undefined));
    return server;
  }

  get unrouted(): number {
    return this.#arrivals.size;
  }

  /** Gives the ports up, the main one last; connections that were accepted may still say what they are. */
  stopListening(): void {
    for (const server of [...this.#plainServers, ...this.#servers]) server.close();
    this.#options.shared?.release();
  }

  /** Stops accepting; what was routed already is not touched. */
  stop(): void {
    clearInterval(this.#timer);
    this.stopListening();
    for (const arrival of this.#arrivals) this.#evict(arrival);
  }

  /** Stops, and destroys every connection that is left, whoever has it now; resolves when they are closed. */
  async close(): Promise<void> {
    this.stop();
    const closing = [...this.#sockets].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closing);
  }

  /**
   * A connection that came by another way is looked at like any that arrived here: from a peer, or, where only a
   * visitor may come that way, out of an agent's own TLS.
   */
  take(socket: Socket, { only }: { only?: 'visitors' | 'plain' } = {}): void {
    const { maxUnroutedConnections, maxUnroutedBytes, routes } = this.#options;
    this.#sockets.add(socket);
    const arrival = new Arrival(socket);
    this.#arrivals.add(arrival, networkOf(plainAddress(socket.remoteAddress)));
    if (this.#arrivals.size > maxUnroutedConnections)
      this.#giveWay(this.#arrivals.crowded(), 'maxUnroutedConnections');
    const onData = (chunk: Buffer): void => {
      // Evicted in this very turn: it is destroyed, and only has not heard of it.
      if (!this.#arrivals.has(arrival)) return;
      const head = arrival.add(chunk);
      this.#arrivals.grow(arrival, chunk.length);
      while (this.#arrivals.bytes > maxUnroutedBytes)
        this.#giveWay(this.#arrivals.heaviest(), 'maxUnroutedBytes');
      const verdict = head && readClientHello(head);
      if (!verdict) return;
      if (verdict.kind === 'need') return arrival.needs(verdict.bytes);
      leave();
      socket.pause();
      switch (verdict.kind) {
        case 'hello':
          if (only === 'plain') return void socket.destroy();
          return this.#hello(verdict, socket, head, only === 'visitors');
        case 'not-tls':
          if (only === 'visitors') return void socket.destroy();
          socket.unshift(head);
          return routes.plain(socket);
        case 'invalid':
          return refuse(socket, ALERTS.decodeError);
      }
    };
    const gone = (): void => {
      leave();
      socket.destroy();
    };
    const leave = (): void => {
      this.#arrivals.delete(arrival);
      socket.off('data', onData).off('end', gone).off('close', gone);
    };
    // Stays on for the socket's whole life: no error of a visitor's connection may reach the process.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', onData);
    socket.on('end', gone);
    socket.on('close', gone);
  }

  #arrive(socket: Socket, take: (socket: Socket) => void): void {
    this.#options.arrived();
    if (this.#options.admits(socket) && this.#makeRoom(socket)) return take(socket);
    socket.on('error', () => undefined);
    resetSocket(socket);
  }

  /** Where descriptors are scarce, one that has not said what it is gives its own up for a newcomer. */
  #makeRoom(socket: Socket): boolean {
    if (this.#options.hasDescriptors(socket)) return true;
    const crowded = this.#arrivals.crowded();
    if (!crowded) return this.#options.closeRequest();
    this.#evict(crowded);
    return true;
  }

  #evict(arrival: Arrival): void {
    this.#arrivals.delete(arrival);
    arrival.socket.destroy();
  }

  #giveWay(arrival: Arrival | undefined, limit: 'maxUnroutedConnections' | 'maxUnroutedBytes'): void {
    if (!arrival) return;
    this.#options.evicted(limit);
    this.#evict(arrival);
  }

  #hello(
    { serverName, alpn }: { serverName?: string; alpn: string[] },
    socket: Socket,
    head: Buffer,
    visitorsOnly: boolean,
  ): void {
    const { isOwn, routes } = this.#options;
    if (isOwn(serverName) && !visitorsOnly) {
      socket.unshift(head);
      routes.ownTls(socket, alpn);
    } else if (serverName === undefined || !routes.visitor({ serverName, alpn }, socket, head)) {
      refuse(socket, ALERTS.unrecognizedName);
    }
  }

  #expire(): void {
    const before = attendedNow() - this.#options.firstBytesMs;
    for (const arrival of this.#arrivals) {
      if (arrival.since > before) break;
      this.#evict(arrival);
    }
  }
}
