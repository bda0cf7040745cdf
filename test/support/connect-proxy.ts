import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** An HTTP proxy that supports only CONNECT. Every name leads to this machine. */
export interface ConnectProxy {
  readonly url: string;
  /** Requested tunnels, in order: `host:port`. */
  readonly requested: string[];
  /** The `Proxy-Authorization` of each. */
  readonly credentials: (string | undefined)[];
  /** Open tunnels. */
  readonly open: () => number;
  /** Open connections, on either side. */
  readonly connections: () => number;
}

/**
 * @param admits whether a tunnel to `host:port` is opened; otherwise 403. `hang`: no response
 * @param portOf the port of this machine that `host:port` leads to (default: the same)
 */
export async function connectProxy(
  admits: (authority: string) => boolean | 'hang' | 407 = () => true,
  portOf: (authority: string) => number = (authority) => Number(authority.split(':').at(-1)),
): Promise<ConnectProxy> {
  const requested: string[] = [];
  const credentials: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  let open = 0;
  const own = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  };
  const server = createServer();
  server.on('connection', own);
  server.on('connect', (request, near: Socket) => {
    const authority = request.url!;
    requested.push(authority);
    credentials.push(request.headers['proxy-authorization']);
    const verdict = admits(authority);
    if (verdict === 'hang') {
      near.once('end', () => near.end()).resume();
      return;
    }
    if (verdict === 407) {
      near.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n',
      );
      return;
    }
    if (!verdict) {
      near.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const far = connect({
      host: '127.0.0.1',
      port: portOf(authority),
      allowHalfOpen: true,
    });
    own(far);
    far.once('connect', () => {
      open += 1;
      near.once('close', () => (open -= 1));
      near.write('HTTP/1.1 200 Connection established\r\n\r\n');
      near.pipe(far).pipe(near);
      near.once('close', () => far.destroy());
      far.once('close', () => near.destroy());
    });
    far.once('error', () => near.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requested,
    credentials,
    open: () => open,
    connections: () => sockets.size,
  };
}
