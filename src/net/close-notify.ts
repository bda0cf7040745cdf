import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { socketBelow } from './reset.js';

/**
 * Whether the other end of TLS said that it ends (close_notify, RFC 8446 §6.1). Without it, the end of the connection may be
 * a program that crashed, or an attacker that cut the connection.
 *
 * Node ends a TLSSocket the same way in both cases. But it ends one upon close_notify before it reads the end of the connection below,
 * and so while it still reads there. Whether it does is known by asking it to read: libuv answers EALREADY. The
 * names are Node's own. A Node that has other names shows no difference, and each end counts as announced.
 */

interface ReadHandle {
  readonly reading?: boolean;
  readStart?(): number;
}

const EALREADY = -constants.errno.EALREADY;
const unannounced = new WeakSet<Socket>();

/** Notes how `socket`, which is TLS over another socket, ends. */
export function watchEnd(socket: Socket): void {
  const handle = handleOf(socketBelow(socket));
  if (typeof handle?.readStart !== 'function') return;
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    // Data that waits for its reader stops the reading below: only close_notify can come behind it.
    const mayBeCut = chunk === null && handleOf(socket)?.reading === true;
    if (mayBeCut && handle.readStart?.() !== EALREADY) unannounced.add(socket);
    return push(chunk, encoding);
  };
}

/** `socket` was watched, and has ended without close_notify. */
export function endedUnannounced(socket: Socket): boolean {
  return unannounced.has(socket);
}

function handleOf(socket: Socket | undefined): ReadHandle | undefined {
  const { _handle: handle } = (socket ?? {}) as { _handle?: ReadHandle | null };
  return handle ?? undefined;
}
