import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A TCP path between agents or visitors and a relay, whose behaviour a test decides. */
export interface Wire {
  readonly port: number;
  /** Open connections, oldest first. The agent's control channel is the first it opens. */
  readonly connections: {
    kill(): void;
    /** Resets the end of this side only, as if its address had disappeared: the other machine hears nothing of it. */
    leave(): void;
  }[];
  /** From now on nothing moves and nothing is answered, as if the other machine were frozen. */
  freeze(): void;
  thaw(): void;
}

/**
 * Opens the path. `to` is called for each connection, so that its end may start later. Default of `host`: 127.0.0.1. With
 * `onBytes`, which gets everything that passes, the relay sees the visitors' own loopback addresses.
 */
export async function wire(
  to: () => number | { host: string; port: number },
  onBytes?: (bytes: Buffer) => void,
): Promise<Wire> {
  const connections: Wire['connections'] = [];
  const sockets = new Set<Socket>();
  let frozen = false;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const end = to();
    const at = typeof end === 'number' ? { host: '127.0.0.1', port: end } : end;
    const from = onBytes && near.remoteAddress !== undefined && { localAddress: near.remoteAddress };
    const far = connect({ ...at, ...from, allowHalfOpen: true });
    const connection = {
      kill: () => {
        near.resetAndDestroy();
        far.resetAndDestroy();
      },
      leave: () => {
        near.removeAllListeners('close');
        far.removeAllListeners('data').pause();
        connections.splice(connections.indexOf(connection), 1);
        near.resetAndDestroy();
      },
    };
    connections.push(connection);
    for (const [side, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(side);
      side.on('data', (chunk: Buffer) => {
        onBytes?.(chunk);
        other.write(chunk);
      });
      side.on('end', () => other.end());
      side.on('error', () => other.destroy());
      side.on('close', () => {
        sockets.delete(side);
        other.destroy();
        const index = connections.indexOf(connection);
        if (index >= 0) connections.splice(index, 1);
      });
      if (frozen) side.pause();
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
