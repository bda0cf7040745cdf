import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A SOCKS5 proxy (RFC 1928) that supports only CONNECT. Every name leads to this machine. */
export interface SocksProxy {
  /** `host:port`. */
  readonly authority: string;
  /** Requests in order: `name:…`, `ipv4:…` or `ipv6:…`, each with its port. */
  readonly requested: string[];
  /** Each `user:password` that a client sent. */
  readonly credentials: string[];
  /** Open tunnels. */
  readonly open: () => number;
}

export interface SocksBehaviour {
  /** The `user:password` that the proxy requires. */
  readonly wants?: string;
  /** Its reply to a request, instead of a connection. 'hang': no reply. */
  readonly reply?: number | 'hang';
  /** Sends its messages byte by byte. */
  readonly drips?: boolean;
  /** The address it connects to. Default: 127.0.0.1. */
  readonly leadsTo?: string;
}

export async function socksProxy(behaviour: SocksBehaviour = {}): Promise<SocksProxy> {
  const [requested, credentials, sockets] = [[] as string[], [] as string[], new Set<Socket>()];
  let open = 0;
  const own = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  };
  const say = async (socket: Socket, bytes: readonly number[]): Promise<void> => {
    if (!behaviour.drips) return void socket.write(Buffer.from(bytes));
    for (const byte of bytes) await new Promise((resolve) => socket.write(Buffer.from([byte]), resolve));
  };
  const serve = async (near: Socket): Promise<void> => {
    const [, count] = await read(near, 2);
    const methods = [...(await read(near, count!))];
    const method = behaviour.wants === undefined ? 0 : 2;
    if (!methods.includes(method)) return void near.end(Buffer.from([5, 0xff]));
    await say(near, [5, method]);
    if (method === 2) {
      await read(near, 1);
      const user = String(await read(near, (await read(near, 1))[0]!));
      const password = String(await read(near, (await read(near, 1))[0]!));
      credentials.push(`${user}:${password}`);
      const isRight = credentials.at(-1) === behaviour.wants;
      await say(near, [1, isRight ? 0 : 1]);
      if (!isRight) return void near.end();
    }
    const [, , , kind] = await read(near, 4);
    const length = kind === 1 ? 4 : kind === 4 ? 16 : (await read(near, 1))[0]!;
    const address = await read(near, length);
    const port = (await read(near, 2)).readUInt16BE();
    requested.push(`${shown(kind!, address)}:${port}`);
    if (behaviour.reply === 'hang') return;
    if (behaviour.reply) return void near.end(Buffer.from([5, behaviour.reply, 0, 1, 0, 0, 0, 0, 0, 0]));
    const far = connect({ host: behaviour.leadsTo ?? '127.0.0.1', port, allowHalfOpen: true });
    own(far);
    far.once('error', () => near.end(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0])));
    await new Promise((resolve) => far.once('connect', resolve));
    open += 1;
    near.once('close', () => (open -= 1));
    // Replies with a name as the bound address, because a client has to parse that as well.
    await say(near, [5, 0, 0, 3, 4, 0x68, 0x65, 0x72, 0x65, 0, 0]);
    near.pipe(far).pipe(near);
    near.once('close', () => far.destroy());
    far.once('close', () => near.destroy());
  };
  const server = createServer({ allowHalfOpen: true }, (near) => {
    own(near);
    serve(near).catch(() => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    authority: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requested,
    credentials,
    open: () => open,
  };
}

function shown(kind: number, address: Buffer): string {
  if (kind === 3) return `name:${address.toString()}`;
  return kind === 1 ? `ipv4:${[...address].join('.')}` : `ipv6:${address.toString('hex')}`;
}

function read(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const chunk = socket.read(bytes) as Buffer | null;
      if (!chunk) return;
      socket.off('readable', look).off('close', reject);
      resolve(chunk);
    };
    socket.on('readable', look).once('close', reject);
    look();
  });
}
