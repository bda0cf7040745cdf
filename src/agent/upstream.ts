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
      resolve(socket);
    });
  });
}
