import { clientOf, plainAddress } from '../../net/client-address.js';
import { createServer, type Server, type Socket } from 'node:net';
import { activeNow } from '../../lib/stalls.js';
import { readClientHello } from '../../net/tls/client-hello.js';
import { networkOf } from '../../net/cidr.js';
import type { Shown } from '../../protocol/ticket.js';
import { readTicketLine, TICKET_LINE } from '../../protocol/ticket-line.js';
import { NetworkTable } from '../../net/network-table.js';
import { acceptProxied } from '../../net/proxy-protocol/reader.js';
import { resetSocket } from '../../net/splice/reset.js';
import { SOCKET_BUFFER_BYTES } from '../../net/splice/splice.js';
import { listen, type ListenAt, type Listening, type TakeOver } from './listen.js';
import { ALERTS, refuse } from '../visitors/refuse.js';

/**
 * The public port: reads the first bytes of each connection, never past the ClientHello, and hands the socket and those
 * bytes over. It closes connections that it cannot route within its limits.
 */

/** A lease that closes, and a relay that shuts down, do not wait for a connection that has said nothing for this long. */
const SILENT_MS = 500;

/** What is known of a visitor of a hostname when it is routed. */
interface VisitorHello {
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** When its connection arrived (`activeNow`). */
  readonly since: number;
}

export interface FrontRoutes {
  /** TLS for a leased hostname. Returns false for an unknown one; then the socket stays with the front. */
  visitor(hello: VisitorHello, socket: Socket, head: Buffer): boolean;
  /** TLS for the relay's own host. `head` is back in the socket. */
  ownTls(socket: Socket, alpn: readonly string[]): void;
  /** Not TLS. `head` is back in the socket. */
  plain(socket: Socket): void;
  /** A ticket line of an agent; `shown` is undefined if it is malformed. The socket is paused. */
  ticket(socket: Socket, shown: Shown | undefined): void;
}

export interface FrontOptions extends ListenAt {
  readonly firstBytesMs: number;
  readonly maxUnroutedConnections: number;
  readonly maxUnroutedBytes: number;
  /** Called for each connection. */
  readonly arrived: () => void;
  /** Whether this connection comes from a proxy that names the client in a header. */
  readonly isProxy: (socket: Socket) => boolean;
  /** Whether the client's address may have another connection. */
  readonly admits: (socket: Socket) => boolean;
  /** Whether an accepted connection leaves the reserved file descriptors free. */
  readonly hasDescriptors: (socket: Socket) => boolean;
  /** Closes the oldest request to the relay itself from the network with the most; false if there are no requests. */
  readonly closeRequest: () => boolean;
  /** Called when an unrouted connection was closed because of this limit. */
  readonly evicted: (limit: 'maxUnroutedConnections' | 'maxUnroutedBytes') => void;
  /** Whether TLS for this server name is for the relay itself; undefined: the client sent none. */
  readonly isOwn: (serverName: string | undefined) => boolean;
  readonly routes: FrontRoutes;
}

/** A connection that has not sent enough bytes to be routed. */
class Arrival {
  readonly socket: Socket;
  readonly since = activeNow();
  /** Grows by doubling, so that a client that sends single bytes does not make the relay keep an object for each. */
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  #need = 1;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** All bytes so far, once there are enough for another look. So small segments cause no parsing. */
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
  /** Servers of the port for plain HTTP. */
  #plainServers: readonly Server[] = [];
  /** Connections that the ports have accepted. */
  accepted = 0;
  /** In order of arrival, and so of expiry. */
  readonly #arrivals = new NetworkTable<Arrival>();
  /** Every open connection, including those handed over. */
  readonly #sockets = new Set<Socket>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#expire(), Math.min(1_000, options.firstBytesMs / 4)).unref();
  }

  /** Starts listening. Resolves with the addresses. */
  async listen(takeOver?: TakeOver): Promise<Listening> {
    const at = await listen(() => this.#server((socket) => this.take(socket)), this.#options, takeOver);
    this.#servers = at.servers;
    return at;
  }

  /** Listens at another port, which only serves plain HTTP. */
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
    // Running out of file descriptors must not end the relay: it accepts again when some are free.
    server.on('listening', () => server.on('error', () => undefined));
    return server;
  }

  get unrouted(): number {
    return this.#arrivals.size;
  }

  /** When (`activeNow`) the oldest unrouted connection arrived, without those that have said nothing for long. Undefined without any. */
  get oldestUnrouted(): number | undefined {
    const from = activeNow() - SILENT_MS;
    for (const { since } of this.#arrivals) if (since >= from) return since;
    return undefined;
  }

  /** Closes the ports, the main port last. Accepted connections may still send their first bytes. */
  stopListening(): void {
    for (const server of [...this.#plainServers, ...this.#servers]) server.close();
    this.#options.shared?.release();
  }

  /** Stops accepting. Routed connections continue. */
  stop(): void {
    clearInterval(this.#timer);
    this.stopListening();
    for (const arrival of this.#arrivals) this.#evict(arrival);
  }

  /** Stops, and destroys every open connection, including those handed over. Resolves when they are closed. */
  async close(): Promise<void> {
    this.stop();
    const closing = [...this.#sockets].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closing);
  }

  /**
   * Routes a connection from a peer, or from inside an agent's own TLS, like a new one. An agent may only
   * reach visitors' routes that way.
   */
  take(socket: Socket, { only }: { only?: 'visitors' | 'plain' } = {}): void {
    const { maxUnroutedConnections, maxUnroutedBytes, routes } = this.#options;
    this.#sockets.add(socket);
    const arrival = new Arrival(socket);
    this.#arrivals.add(arrival, networkOf(plainAddress(clientOf(socket).address)));
    if (this.#arrivals.size > maxUnroutedConnections)
      this.#evictAtLimit(this.#arrivals.crowded(), 'maxUnroutedConnections');
    const onData = (chunk: Buffer): void => {
      // An arrival evicted in this turn is destroyed, but still emits data.
      if (!this.#arrivals.has(arrival)) return;
      const head = arrival.add(chunk);
      this.#arrivals.grow(arrival, chunk.length);
      while (this.#arrivals.bytes > maxUnroutedBytes)
        this.#evictAtLimit(this.#arrivals.heaviest(), 'maxUnroutedBytes');
      if (!head) return;
      const isLine = head[0] === TICKET_LINE && only === undefined;
      const verdict = isLine ? readTicketLine(head) : readClientHello(head);
      if (verdict.kind === 'need') return arrival.needs(verdict.bytes);
      leave();
      socket.pause();
      switch (verdict.kind) {
        case 'hello':
          if (only === 'plain') return void socket.destroy();
          return this.#hello({ ...verdict, since: arrival.since }, socket, head, only === 'visitors');
        case 'ticket':
          return routes.ticket(socket, verdict.shown);
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
    // For the whole life of the socket: an error of a visitor's connection must not end the process.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', onData);
    socket.on('end', gone);
    socket.on('close', gone);
  }

  #arrive(socket: Socket, take: (socket: Socket) => void): void {
    this.accepted++;
    this.#options.arrived();
    if (!this.#options.isProxy(socket)) return this.#admit(socket, take);
    acceptProxied(socket, this.#options.firstBytesMs, () => this.#admit(socket, take));
  }

  #admit(socket: Socket, take: (socket: Socket) => void): void {
    if (this.#options.admits(socket) && this.#makeRoom(socket)) return take(socket);
    socket.on('error', () => undefined);
    resetSocket(socket);
  }

  /** When file descriptors are scarce, closes an unrouted connection to make room for `socket`. */
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

  #evictAtLimit(arrival: Arrival | undefined, limit: 'maxUnroutedConnections' | 'maxUnroutedBytes'): void {
    if (!arrival) return;
    this.#options.evicted(limit);
    this.#evict(arrival);
  }

  #hello(
    { serverName, alpn, since }: { serverName?: string; alpn: string[]; since: number },
    socket: Socket,
    head: Buffer,
    visitorsOnly: boolean,
  ): void {
    const { isOwn, routes } = this.#options;
    if (isOwn(serverName) && !visitorsOnly) {
      socket.unshift(head);
      routes.ownTls(socket, alpn);
    } else if (serverName === undefined || !routes.visitor({ serverName, alpn, since }, socket, head)) {
      refuse(socket, ALERTS.unrecognizedName);
    }
  }

  #expire(): void {
    const before = activeNow() - this.#options.firstBytesMs;
    for (const arrival of this.#arrivals) {
      if (arrival.since > before) break;
      this.#evict(arrival);
    }
  }
}
