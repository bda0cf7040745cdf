import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { onTestFinished } from 'vitest';

/** UDP peers of a test. All close with it. */

async function bound(socket: Socket, port = 0, address = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, address, resolve);
  });
  socket.on('error', () => undefined);
  return socket.address().port;
}

export interface UdpService {
  readonly port: number;
  /** Peers that sent datagrams to the service, as `address port`. */
  readonly peers: Set<string>;
  /** How many datagrams the service has received. */
  readonly received: number;
  readonly close: () => Promise<void>;
}

/** A local UDP service. Sends the result of `answer`, by default an echo. */
export async function udpService(
  answer: (payload: Buffer, from: RemoteInfo) => Uint8Array | undefined = (payload) => payload,
  port = 0,
  host: '127.0.0.1' | '::1' = '127.0.0.1',
): Promise<UdpService> {
  const socket = createSocket({
    ...(host === '::1' ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' }),
    recvBufferSize: 4 << 20,
  });
  const peers = new Set<string>();
  let received = 0;
  socket.on('message', (payload, from) => {
    received++;
    peers.add(`${from.address} ${from.port}`);
    const text = answer(payload, from);
    if (text) socket.send(text, from.port, from.address);
  });
  const at = await bound(socket, port, host);
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await new Promise<void>((resolve) => socket.close(resolve));
  };
  onTestFinished(close);
  return {
    port: at,
    peers,
    get received() {
      return received;
    },
    close,
  };
}

export interface UdpVisitor {
  readonly port: number;
  send(payload: Uint8Array | string): void;
  /** The next datagram that no caller has received yet. */
  next(): Promise<Buffer>;
  /** Repeats the question until a reply that ends with it arrives: datagrams may be lost during a change. */
  ask(payload: string): Promise<string>;
  close(): void;
}

/** A visitor with a separate port. */
export async function udpVisitor(to: number, address = '127.0.0.1', from = '127.0.0.1'): Promise<UdpVisitor> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  const arrived: Buffer[] = [];
  let wake: (() => void) | undefined;
  socket.on('message', (payload) => {
    arrived.push(payload);
    wake?.();
  });
  const port = await bound(socket, 0, from);
  let closed = false;
  const close = (): void => {
    if (!closed) socket.close();
    closed = true;
  };
  onTestFinished(close);
  const next = async (): Promise<Buffer> => {
    while (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return arrived.shift()!;
  };
  return {
    port,
    send: (payload) => socket.send(payload, to, address),
    next,
    async ask(payload) {
      const send = (): void => {
        if (closed) clearInterval(repeat);
        else socket.send(payload, to, address);
      };
      const repeat = setInterval(send, 200);
      try {
        send();
        for (;;) {
          const answer = (await next()).toString();
          // May be a late reply to an earlier question.
          if (answer.endsWith(payload)) return answer;
        }
      } finally {
        clearInterval(repeat);
      }
    },
    close,
  };
}
