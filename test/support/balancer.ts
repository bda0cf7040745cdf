import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { request } from 'node:https';
import { onTestFinished } from 'vitest';

/** A TCP load balancer, as operators put one before several nodes. */
export interface Balancer {
  readonly port: number;
  /** Replaces the ports of the nodes. */
  use(ports: readonly number[]): void;
}

const CHECK_MS = 200;

/**
 * Gives each connection to the next node. It asks each node for /healthz, prefers healthy nodes, and tries the next one if a node
 * refuses a connection. A connection that a node has accepted stays there.
 */
export async function balancer(): Promise<Balancer> {
  let ports: readonly number[] = [];
  let turn = 0;
  const unhealthy = new Set<number>();
  const open = new Set<Socket>();
  const candidates = (): number[] => {
    const all = ports.map((_, index) => ports[(index + turn) % ports.length]!);
    turn++;
    return [...all.filter((port) => !unhealthy.has(port)), ...all.filter((port) => unhealthy.has(port))];
  };
  const pass = (near: Socket, [port, ...others]: readonly number[]): void => {
    if (port === undefined) return void near.destroy();
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    far.once('error', () => pass(near, others));
    far.once('connect', () => {
      far.removeAllListeners('error');
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        open.add(from);
        from.on('error', () => to.destroy());
        from.once('close', () => {
          open.delete(from);
          if (from.errored) to.resetAndDestroy();
        });
        from.pipe(to);
      }
    });
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (near) => {
    near.on('error', () => undefined);
    pass(near, candidates());
  });
  const checks = setInterval(() => {
    for (const port of ports) {
      const asked = request({ port, path: '/healthz', servername: 'localhost', rejectUnauthorized: false });
      asked.once('response', (response) => {
        response.resume();
        if (response.statusCode === 200) unhealthy.delete(port);
        else unhealthy.add(port);
      });
      asked.once('error', () => unhealthy.add(port)).end();
    }
  }, CHECK_MS);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    clearInterval(checks);
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, use: (next) => void (ports = next) };
}
