import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A TCP path between agents or visitors and a relay, whose behaviour a test decides. */
export interface Wire {
  readonly port: number;
  /** Open connections, oldest first. The agent's control channel is the first it opens. */
  readonly connections: { kill(): void }[];
  /** From now on nothing moves and nothing is answered, as if the other machine were frozen. */
  freeze(): void;
  thaw(): void;
}

/** Opens the path. `to` is called for each connection, so that its end may start later. Default of `host`: 127.0.0.1. */
export async function wire(to: () => number | { host: string; port: number }): Promise<Wire> {
  const connections: { kill(): void }[] = [];
  const sockets = new Set<Socket>();
  let frozen = false;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const end = to();
    const at = typeof end === 'number' ? { host: '127.0.0.1', port: end } : end;
    const far = connect({ ...at, allowHalfOpen: true });
    const connection = {
      kill: () => {
        near.resetAndDestroy();
        far.resetAndDestroy();
      },
    };
    connections.push(connection);
    for (const [from, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => other.write(chunk));
      from.on('end', () => other.end());
      from.on('error', () => other.destroy());
      from.on('close', () => {
        sockets.delete(from);
        other.destroy();
        const index = connections.indexOf(connection);
        if (index >= 0) connections.splice(index, 1);
      });
      if (frozen) from.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
  };
}
