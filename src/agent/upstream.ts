import { connect, type Socket } from 'node:net';
import { PortalError, systemCode } from '../lib/errors.js';
import { SOCKET_BUFFER_BYTES } from '../net/splice.js';
import { formatTarget, type Target } from '../net/target.js';

/** Below the two seconds within which a visitor is told that the service is down. */
const CONNECT_MS = 1_500;

/** Connects to the local service; rejects within 1.5 s with a reason fit for the visitor's error page. */
export function connectTarget(target: Target): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const common = { allowHalfOpen: true, highWaterMark: SOCKET_BUFFER_BYTES };
    const socket =
      target.kind === 'unix'
        ? connect({ ...common, path: target.path })
        : connect({ ...common, host: target.host, port: target.port, noDelay: true, keepAlive: true });
    const fail = (reason: string, cause?: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new PortalError('not_through', `${formatTarget(target)} ${reason}`, { cause }));
    };
    const timer = setTimeout(() => fail(`did not answer within ${CONNECT_MS} ms`), CONNECT_MS);
    const onError = (error: Error): void =>
      fail(`refused the connection (${systemCode(error) ?? error.message})`, error);
    socket.once('error', onError);
    socket.once('connect', () => {
      clearTimeout(timer);
      // Replaced, not removed: until the splice listens, an error must not end the process.
      socket.on('error', () => undefined);
      socket.off('error', onError);
      readOutBeforeDestroy(socket);
      resolve(socket);
    });
  });
}

/** What the service said before it closed is there within this, or will not come. */
const READ_OUT_MS = 500;

/**
 * A service may answer an upload before it has read it, and close. The next write to it fails then, and node
 * destroys the socket at once, with the answer still unread in it. Here a failed write first leaves the reading
 * side its end: the reset that follows the answer, or a bound.
 */
function readOutBeforeDestroy(socket: Socket): void {
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error?: Error) => {
    const { syscall } = (error ?? {}) as NodeJS.ErrnoException;
    if (syscall !== 'write' || socket.readableEnded) return destroy(error);
    // Whatever comes next, a read that fails among it, ends the socket for good.
    socket.destroy = destroy;
    const timer = setTimeout(() => destroy(error), READ_OUT_MS);
    socket.once('close', () => clearTimeout(timer));
    return socket;
  };
}
