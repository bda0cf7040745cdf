import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';
import { listening } from '../../net/listen/listening.js';
import { resetSocket } from '../../net/splice/reset.js';
import { SOCKET_BUFFER_BYTES, SpliceSet } from '../../net/splice/splice.js';
import { LIMITS } from '../../protocol/limits.js';
import type { PlaceConnector } from './connection.js';

const HOST = '127.0.0.1';

export interface ForwardOptions {
  /** Undefined: the port of the target if it is free, else any other. */
  readonly port: number | undefined;
  /** Called with the error of a local connection that was not forwarded. */
  readonly onFailed: (error: PortalError) => void;
  /** Aborts when the command ends. Open connections are reset. */
  readonly signal: AbortSignal;
}

/** Forwards connections to a local port. Resolves with the port. Throws `address_in_use` or `listen_failed`. */
export async function forward(connector: PlaceConnector, options: ForwardOptions): Promise<number> {
  const { port: wanted, signal, onFailed } = options;
  const splices = new SpliceSet({
    idleMs: LIMITS.visitorIdleMs,
    halfClosedMs: LIMITS.halfClosedMs,
    lifetimeMs: LIMITS.visitorLifetimeMs,
    firstResponseMs: 0,
  });
  const serve = async (local: Socket): Promise<void> => {
    local.on('error', () => undefined);
    try {
      const { socket } = await connector.open('connect', signal);
      if (local.destroyed) socket.destroy();
      else splices.add(local, socket);
    } catch (error) {
      resetSocket(local);
      if (!signal.aborted) onFailed(asPortalError(error));
    }
  };
  const mark: object = { highWaterMark: SOCKET_BUFFER_BYTES };
  const server = createServer({ allowHalfOpen: true, noDelay: true, ...mark }, (local) => void serve(local));
  const port = await listenOn(server, wanted, connector.place.targetPort);
  signal.addEventListener(
    'abort',
    () => {
      server.close();
      splices.closeAll();
    },
    { once: true },
  );
  return port;
}

async function listenOn(server: Server, wanted: number | undefined, usual = 0): Promise<number> {
  try {
    return await listen(server, wanted ?? usual);
  } catch (error) {
    // A database on this machine may use the port, and ports below 1024 need a privilege.
    if (wanted === undefined && usual !== 0) return listen(server, 0);
    const code = systemCode(error);
    throw new PortalError(
      code === 'EADDRINUSE' ? 'address_in_use' : 'listen_failed',
      code === 'EADDRINUSE' ? `port ${wanted} is in use` : `cannot listen on port ${wanted} (${code})`,
      { cause: error },
    );
  }
}

async function listen(server: Server, port: number): Promise<number> {
  await listening(server, () => server.listen(port, HOST));
  return (server.address() as AddressInfo).port;
}
