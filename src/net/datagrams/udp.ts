import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { watchOverruns } from './udp-overruns.js';

/** UDP sockets, configured for many small datagrams. */

/** Buffer sizes to try in order. The system may grant less (net.core.rmem_max) or refuse a size. */
const BUFFER_BYTES = [4 * 1024 * 1024, 1024 * 1024, 256 * 1024];

/** Numeric addresses need no resolver, and Node's lookup costs a turn of the event loop per datagram. */
const lookup = (
  host: string,
  family: unknown,
  done: (error: Error | null, address: string, family: number) => void,
): void => done(null, host, family as number);

function create(address: string, ipv6Only = false): Socket {
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup, ipv6Only });
  // For example an ICMP error. It must not end the process. Owners that need it add a listener.
  socket.on('error', () => undefined);
  return socket;
}

/** Bytes that may wait in Node while the system accepts no more. Beyond them, datagrams are dropped. */
const MAX_BACKLOG_BYTES = 1024 * 1024;

/** One UDP socket. Drops datagrams that it cannot send now, and all datagrams after `close`. */
export class UdpSocket {
  readonly port: number;
  readonly #socket: Socket;
  readonly #onSent: (error: Error | null) => void;
  #closed = false;
  #onFailed: (error: Error) => void = () => undefined;
  #unwatch: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    this.#onSent = (error) => {
      if (error && !this.#closed) this.#onFailed(error);
    };
  }

  onMessage(take: (payload: Buffer, from: RemoteInfo) => void): void {
    this.#socket.on('message', (payload, from) => {
      // Only forged datagrams come from port 0. Node throws on sending there.
      if (from.port !== 0) take(payload, from);
    });
  }

  /** Reports a datagram that the system did not send or the peer refused (ICMP). */
  onFailed(report: (error: Error) => void): void {
    this.#onFailed = report;
    this.#socket.on('error', this.#onSent);
  }

  /** Reports datagrams lost because this process did not read them in time, where the system counts them. */
  onOverrun(report: (count: number) => void): void {
    this.#unwatch();
    const { address } = this.#socket.address();
    this.#unwatch = watchOverruns(address, this.port, report);
  }

  /**
   * Returns false if the datagram was dropped. The caller must not change a payload that was accepted. `port` and
   * `address` are required unless the socket is connected.
   */
  send(payload: Buffer | readonly Buffer[], port?: number, address?: string): boolean {
    if (this.#closed || this.#socket.getSendQueueSize() > MAX_BACKLOG_BYTES) return false;
    if (port === undefined) this.#socket.send(payload as Buffer, this.#onSent);
    else this.#socket.send(payload as Buffer, port, address, this.#onSent);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#socket.close();
  }
}

export interface BindOptions {
  readonly ipv6Only?: boolean;
  readonly bufferBytes?: number;
  /** In a worker process: a socket that all workers share. Each datagram arrives at any of them. */
  readonly shared?: boolean;
}

/** Binds a socket to `port` (0 for any free port) of the IP address `address`. Rejects if the port is in use. */
export function bindUdp(
  address: string,
  port: number,
  { ipv6Only = false, bufferBytes, shared = false }: BindOptions = {},
): Promise<UdpSocket> {
  const socket = create(address, ipv6Only);
  return settled(socket, (done) => socket.bind({ address, port, exclusive: !shared }, done), bufferBytes);
}

/** A socket connected to one peer by IP address. It receives ICMP errors of the peer. */
export function connectUdp(
  address: string,
  port: number,
  bufferBytes = BUFFER_BYTES[0]!,
): Promise<UdpSocket> {
  const socket = create(address);
  return settled(socket, (done) => socket.connect(port, address, done), bufferBytes);
}

function settled(
  socket: Socket,
  begin: (done: (error?: Error) => void) => void,
  bufferBytes = BUFFER_BYTES[0]!,
): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error): void => {
      socket.off('error', finish);
      if (error) {
        socket.close();
        reject(error);
        return;
      }
      growBuffers(socket, bufferBytes);
      resolve(new UdpSocket(socket));
    };
    socket.once('error', finish);
    begin(finish);
  });
}

function growBuffers(socket: Socket, most: number): void {
  for (const set of ['setRecvBufferSize', 'setSendBufferSize'] as const) {
    for (const bytes of BUFFER_BYTES.filter((size) => size <= most)) {
      try {
        socket[set](bytes);
        break;
      } catch {
        // Try a smaller size, then keep the system's default.
      }
    }
  }
}

/** Whether packets to this IP address stay on the machine. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}
