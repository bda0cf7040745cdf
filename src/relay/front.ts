import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { asPortalError, PortalError, systemCode } from '../lib/errors.js';
import { readClientHello } from '../net/client-hello.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';

/**
 * The public port: looks at the first bytes of each connection, never past the ClientHello, and hands the
 * socket on with those bytes. What it cannot place within its bounds it closes.
 */

export interface FrontRoutes {
  /** TLS for a leased hostname, or for an unknown one (`false` then, and the socket stays with the front). */
  visitor(hello: { serverName: string; alpn: readonly string[] }, socket: Socket, head: Buffer): boolean;
  /** TLS for the relay's own host; `head` is back in the socket. */
  ownTls(socket: Socket): void;
  /** Not TLS; `head` is back in the socket. */
  plain(socket: Socket): void;
}

export interface FrontOptions {
  readonly host: string;
  readonly port: number;
  readonly firstBytesMs: number;
  readonly maxUnroutedConnections: number;
  /** Whether TLS for this server name (undefined: the client named none) is for the relay itself. */
  readonly isOwn: (serverName: string | undefined) => boolean;
  readonly routes: FrontRoutes;
}

/** TLS 1.2 record: fatal alert unrecognized_name(112), RFC 6066 §3. */
const UNRECOGNIZED_NAME = Buffer.from([21, 3, 3, 0, 2, 2, 112]);
/** Fatal decode_error(50): what was said is no ClientHello. */
const DECODE_ERROR = Buffer.from([21, 3, 3, 0, 2, 2, 50]);

/** A connection that has not said yet what it is. */
class Arrival {
  readonly socket: Socket;
  readonly since = Date.now();
  #chunks: Buffer[] = [];
  #length = 0;
  #need = 1;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** All bytes so far, once there are enough for another look; parsing costs nothing per small segment. */
  add(chunk: Buffer): Buffer | undefined {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#need) return undefined;
    const all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length);
    this.#chunks = [all];
    return all;
  }

  needs(bytes: number): void {
    this.#need = bytes;
  }
}

export class Front {
  readonly #options: FrontOptions;
  readonly #server: Server;
  /** In order of arrival, and so of expiry. */
  readonly #arrivals = new Map<Socket, Arrival>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: 30_000,
        highWaterMark: SOCKET_BUFFER_BYTES,
      },
      (socket) => this.#arrive(socket),
    );
    this.#timer = setInterval(() => this.#expire(), Math.min(1_000, options.firstBytesMs / 4)).unref();
  }

  /** Starts listening; resolves with the port. */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenError(error, host, port)));
      this.#server.listen({ host, port, backlog: 4_096 }, resolve);
    });
    // Running out of descriptors must not end the relay: accepting goes on when some are free again.
    this.#server.on('error', () => undefined);
    return (this.#server.address() as AddressInfo).port;
  }

  get unrouted(): number {
    return this.#arrivals.size;
  }

  /** Stops accepting; what was routed already is not touched. */
  close(): void {
    clearInterval(this.#timer);
    this.#server.close();
    for (const socket of this.#arrivals.keys()) socket.destroy();
    this.#arrivals.clear();
  }

  #arrive(socket: Socket): void {
    if (this.#arrivals.size >= this.#options.maxUnroutedConnections) {
      const oldest = this.#arrivals.keys().next().value;
      oldest?.destroy();
    }
    const arrival = new Arrival(socket);
    this.#arrivals.set(socket, arrival);
    const onData = (chunk: Buffer): void => {
      const head = arrival.add(chunk);
      if (!head) return;
      const verdict = readClientHello(head);
      if (verdict.kind === 'need') return arrival.needs(verdict.bytes);
      leave();
      socket.pause();
      switch (verdict.kind) {
        case 'hello':
          return this.#hello(verdict, socket, head);
        case 'not-tls':
          socket.unshift(head);
          return this.#options.routes.plain(socket);
        case 'invalid':
          return refuse(socket, DECODE_ERROR);
      }
    };
    const gone = (): void => {
      leave();
      socket.destroy();
    };
    const leave = (): void => {
      this.#arrivals.delete(socket);
      socket.off('data', onData).off('end', gone).off('close', gone);
    };
    // Stays on for the socket's whole life: no error of a visitor's connection may reach the process.
    socket.on('error', () => undefined);
    socket.on('data', onData);
    socket.on('end', gone);
    socket.on('close', gone);
  }

  #hello(hello: { serverName?: string; alpn: string[] }, socket: Socket, head: Buffer): void {
    const { isOwn, routes } = this.#options;
    const { serverName, alpn } = hello;
    if (isOwn(serverName)) {
      socket.unshift(head);
      routes.ownTls(socket);
    } else if (serverName === undefined || !routes.visitor({ serverName, alpn }, socket, head)) {
      refuse(socket, UNRECOGNIZED_NAME);
    }
  }

  #expire(): void {
    const before = Date.now() - this.#options.firstBytesMs;
    for (const arrival of this.#arrivals.values()) {
      if (arrival.since > before) break;
      arrival.socket.destroy();
    }
  }
}

/** Says why in TLS's own words, then closes both ways within a second whatever the client does. */
function refuse(socket: Socket, alert: Buffer): void {
  socket.end(alert);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), 1_000).unref();
  socket.once('end', () => socket.destroy());
  socket.once('close', () => clearTimeout(timer));
}

function listenError(error: Error, host: string, port: number): PortalError {
  const code = systemCode(error) === 'EADDRINUSE' ? 'address_in_use' : 'listen_failed';
  const message = code === 'address_in_use' ? `${host}:${port} is in use` : asPortalError(error).message;
  return new PortalError(code, message, { cause: error });
}
