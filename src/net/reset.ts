import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Ends a connection so that the peer sees a reset and not an orderly end. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  // The end is already with the kernel. Node can no longer take it back, and a request for a reset now would keep the
  // socket open (libuv: uv_tcp_close_reset during uv_shutdown is EINVAL).
  const ending = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (ending || socket.connecting) return void socket.destroy();
  if (!(socket instanceof TLSSocket)) return void socket.resetAndDestroy();
  // A TLSSocket cannot send RST, and node's TLS treats a destroyed one like an orderly end, with or without close_notify.
  // Only the lowest socket can reset. Node closes the TLS layers between: if the socket below a TLSSocket is destroyed
  // first, the TLSSocket waits for its close event forever.
  let lowest: Socket = socket;
  for (let below = socketBelow(lowest); below; below = socketBelow(lowest)) lowest = below;
  if (lowest !== socket) resetSocket(lowest);
  socket.destroy();
}

/**
 * A reset follows earlier writes after this long. This is also the interval for checking whether node still has unsent
 * bytes.
 */
const BEHIND_MS = 200;
const MAX_LOOKS_BEHIND = 10;

/**
 * Resets `socket`, but only after its earlier writes. A service that answers an upload early and closes sends its
 * response and a reset at the same moment. A reset makes every system on the path drop unsent data.
 */
export function resetBehind(socket: Socket, looks = 0): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => {
    if (socket.writableLength > 0 && looks < MAX_LOOKS_BEHIND) resetBehind(socket, looks + 1);
    else resetSocket(socket);
  }, BEHIND_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** The socket below this TLS session, if there is one. Only these internal names expose it. */
export function socketBelow(socket: Socket): Socket | undefined {
  const { _parent: below } = socket as { _parent?: unknown };
  if (!(below instanceof Socket)) return undefined;
  // Node wraps a socket without a handle in a stream first.
  const { stream } = below as { stream?: unknown };
  return stream instanceof Socket ? stream : below;
}
