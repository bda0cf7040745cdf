import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Ends a connection so that the peer sees a reset and not a clean close. Unix sockets and pipes have no reset. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  // The end is already with the kernel, and Node cannot cancel it. A request for a reset now would keep the socket
  // open (libuv: uv_tcp_close_reset during uv_shutdown is EINVAL).
  const ending = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (ending || socket.connecting) return void socket.destroy();
  // A TLSSocket cannot send RST: only the lowest socket can. Node closes layers of TLS from the top, and each closes the
  // one below. If the lowest closes first, the others may never close, and Node crashes in the turn of a handshake's end.
  const lowest = lowestOf(socket);
  if (lowest !== socket) resetWhenDestroyed(lowest);
  if (socket instanceof TLSSocket || isPipe(socket)) socket.destroy();
  else socket.resetAndDestroy();
}

/** Whether this is a Unix socket or a named pipe of Windows. Node throws if asked to reset one. */
function isPipe(socket: Socket): boolean {
  const { _handle: handle } = socket as { _handle?: object | null };
  return handle?.constructor.name === 'Pipe';
}

/** The socket below all TLS sessions of `socket`: `socket` itself if it has none. */
export function lowestOf(socket: Socket): Socket {
  let lowest = socket;
  for (let below = socketBelow(lowest); below; below = socketBelow(lowest)) lowest = below;
  return lowest;
}

/** Makes the next `destroy()` of this socket a reset. */
function resetWhenDestroyed(socket: Socket): void {
  const destroy = socket.destroy.bind(socket);
  socket.destroy = (error) => {
    socket.destroy = destroy;
    if (error) return destroy(error);
    resetSocket(socket);
    return socket;
  };
}

/** How long a reset waits after earlier writes, and how often to check for bytes that node has not sent. */
const BEHIND_MS = 200;
const MAX_CHECKS_BEHIND = 10;

/**
 * Resets `socket`, but only after its earlier writes. A service that answers an upload early and closes sends its
 * response and a reset at the same moment. A reset makes every system on the path drop unsent data.
 */
export function resetBehind(socket: Socket, checks = 0): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => {
    if (socket.writableLength > 0 && checks < MAX_CHECKS_BEHIND) resetBehind(socket, checks + 1);
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
