import type { TLSSocket } from 'node:tls';
import { readerOf } from './read-handle.js';
import { lowestOf } from './reset.js';

/** The first interval between checks for the end of the connection below. Each one is twice as long. */
const FIRST_CHECK_MS = 5;
const LONGEST_CHECK_MS = 200;

/**
 * Keeps a TLS session over another one open until the connection below has ended, at most `ms`.
 *
 * Node closes a session once both sides have ended it, and the connection below with it. There the peer still announces
 * its end (close_notify, RFC 8446 §6.1). That is data to TCP: the system replies with a reset, and a reset drops what has
 * not arrived yet. nginx lingers for the same reason (`lingering_close`).
 */
export function lingerBelow(socket: TLSSocket, ms: number): void {
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error) => {
    socket.destroy = destroy;
    const isComplete = !error && socket.readableEnded && socket.writableFinished;
    const lowest = lowestOf(socket);
    const isReading = lowest.destroyed ? undefined : readerOf(lowest);
    if (!isComplete || !isReading) return destroy(error);
    // Reading stops while nothing takes the data, so the first result proves nothing.
    isReading();
    destroyOnceFalse(isReading, socket, ms);
    return socket;
  };
}

function destroyOnceFalse(isReading: () => boolean, socket: TLSSocket, ms: number): void {
  const giveUpAt = performance.now() + ms;
  let interval = FIRST_CHECK_MS;
  const check = (): void => {
    if (!isReading() || performance.now() >= giveUpAt) return void socket.destroy();
    interval = Math.min(interval * 2, LONGEST_CHECK_MS);
    timer = setTimeout(check, interval);
  };
  let timer = setTimeout(check, interval);
  socket.once('close', () => clearTimeout(timer));
}
