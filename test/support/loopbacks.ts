import type { ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Server, Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Both loopback addresses of this machine, for services that listen on one of them and move to the other. */
export const LOOPBACKS = ['127.0.0.1', '::1'] as const;
export type Loopback = (typeof LOOPBACKS)[number];

/** Makes `server` listen on this address only. Resolves with its port. */
function listen(server: Server, port: number, host: Loopback): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, ipv6Only: true }, () => resolve((server.address() as AddressInfo).port));
  });
}

export interface Moving {
  readonly port: number;
  /** Closes the server and its connections. */
  close(): Promise<void>;
}

/**
 * The result of `make`, on `host` only. It closes with the test at the latest. `unit` is the object whose destruction
 * ends a connection: an HTTP/2 session owns its socket, and destroying only the socket leaves the peer waiting.
 */
export async function serveOn(
  host: Loopback,
  port: number,
  make: () => Server | Promise<Server>,
  unit: 'connection' | 'session' = 'connection',
): Promise<Moving> {
  const server = await make();
  const open = new Set<Socket | ServerHttp2Session>();
  server.on(unit, (each: Socket | ServerHttp2Session) => {
    open.add(each);
    each.once('close', () => open.delete(each));
  });
  const at = await listen(server, port, host);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> =>
    (closed ??= new Promise((done) => {
      for (const each of open) each.destroy();
      server.close(() => done());
    }));
  onTestFinished(close);
  return { port: at, close };
}
