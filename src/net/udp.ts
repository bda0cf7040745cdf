import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { watchOverruns } from './udp-overruns.js';

/** UDP sockets, set up for many small datagrams. */

/** What to ask the system for; it may give less (net.core.rmem_max), and one that refuses is asked for less. */
const BUFFER_BYTES = [4 * 1024 * 1024, 1024 * 1024, 256 * 1024];

/** Numeric addresses need no resolver, and node's own costs a turn of the event loop for each datagram. */
const lookup = (
  host: string,
  family: unknown,
  done: (error: Error | null, address: string, family: number) => void,
): void => done(null, host, family as number);

function create(address: string, ipv6Only = false): Socket {
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup, ipv6Only });
  // An ICMP error, say: whoever wants to know of it listens as well. It must never end the process.
  socket.on('error', () => undefined);
  return socket;
}

/** Bytes that may wait in node because the system takes no more; beyond them, datagrams are not taken. */
const MAX_BACKLOG_BYTES = 1024 * 1024;

/** One UDP socket. What it cannot send now it refuses, as everything does once it is closed. */
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
      // Only who forges it sends from port 0; nothing can be sent there, and node throws where one tries.
      if (from.port !== 0) take(payload, from);
    });
  }

  /** A datagram that the system did not send, or that the peer refused (ICMP). */
  onFailed(tell: (error: Error) => void): void {
    this.#onFailed = tell;
    this.#socket.on('error', this.#onSent);
  }

  /** Datagrams that were lost because this process did not read them in time, as far as the system counts them. */
  onOverrun(tell: (count: number) => void): void {
    this.#unwatch();
    const { address } = this.#socket.address();
    this.#unwatch = watchOverruns(address, this.port, tell);
  }

  /** False: not taken. What is taken must not be changed any more. Where to, unless it has one peer alone. */
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

/** A socket that is bound to `port` (0: any free one) of the IP address `address`; rejects when it is taken. */
export function bindUdp(
  address: string,
  port: number,
  ipv6Only = false,
  bufferBytes = BUFFER_BYTES[0]!,
): Promise<UdpSocket> {
  const socket = create(address, ipv6Only);
  return settled(socket, (done) => socket.bind({ address, port, exclusive: true }, done), bufferBytes);
}

/** A socket of its own port that speaks with one peer, by IP address, and hears of its ICMP errors. */
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
        // Less, then; or what the system gives by itself.
      }
    }
  }
}

/** Whether packets to this IP address stay on the machine. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}
