import type { Socket } from 'node:net';
import { takesInput, readerOf } from '../splice/read-handle.js';
import { socketBelow } from '../splice/reset.js';

/**
 * Whether the TLS peer announced its end (close_notify, RFC 8446 §6.1). Without it, the peer may have crashed, or an
 * attacker may have cut the connection.
 *
 * Node ends a TLSSocket the same way in both cases. On close_notify, though, it ends the TLSSocket before it reads the
 * end of the connection below, so it is still reading there. A Node version with other internals shows no difference, and
 * every end counts as announced.
 */

const unannounced = new WeakSet<Socket>();

/** Records how `socket`, which is TLS over another socket, ends. */
export function watchEnd(socket: Socket): void {
  const isReading = readerOf(socketBelow(socket));
  if (!isReading) return;
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    // Data that waits for its reader pauses the reading below, so only close_notify can follow it.
    if (chunk === null && takesInput(socket) && !isReading()) unannounced.add(socket);
    return push(chunk, encoding);
  };
}

/** Whether a watched `socket` ended without close_notify. */
export function endedUnannounced(socket: Socket): boolean {
  return unannounced.has(socket);
}
