import type { Socket } from 'node:net';

/** The `createConnection` option of Node's HTTP client and of `ws`. */
export type CreateConnection = (
  options: object,
  done: (error: Error | null, socket?: Socket) => void,
) => Socket | undefined;

/** Adapts `open` to the `createConnection` option of a request. */
export function createConnection(open: () => Promise<Socket>): CreateConnection {
  return (_options, done) => {
    void handOver(open, done);
    return undefined;
  };
}

async function handOver(open: () => Promise<Socket>, done: Parameters<CreateConnection>[1]): Promise<void> {
  let socket: Socket;
  try {
    socket = await open();
  } catch (error) {
    done(error as Error);
    return;
  }
  done(null, socket);
}
