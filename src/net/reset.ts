import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Ends a connection so that the other side sees a reset, not an orderly end. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return;
  // Its end is on the way to the kernel: everything was said, and node can neither take that back nor, if it is
  // asked for a reset now, close the socket at all (libuv: uv_tcp_close_reset during uv_shutdown is EINVAL).
  const ending = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (ending || socket.connecting) return void socket.destroy();
  if (!(socket instanceof TLSSocket)) return void socket.resetAndDestroy();
  // A TLSSocket cannot send RST itself, and one that is destroyed looks to node's TLS like an orderly end, with
  // or without close_notify. The socket below it can. TLS between the two is left to node: a TLSSocket whose own
  // below was destroyed first waits for that to close once more, and so never closes.
  let lowest: Socket = socket;
  for (let below = socketBelow(lowest); below; below = socketBelow(lowest)) lowest = below;
  if (lowest !== socket) resetSocket(lowest);
  socket.destroy();
}

/** A reset follows what was written before it after this, and looks this often whether node still holds any of it. */
const BEHIND_MS = 200;
const MAX_LOOKS_BEHIND = 10;

/**
 * Resets `socket`, but not ahead of what was written to it: a service that answers an upload early and closes
 * sends its answer and a reset at the same moment, and a reset makes every system on the way drop what it still holds.
 */
export function resetBehind(socket: Socket, looks = 0): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => {
    if (socket.writableLength > 0 && looks < MAX_LOOKS_BEHIND) resetBehind(socket, looks + 1);
    else resetSocket(socket);
  }, BEHIND_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** The socket that carries this TLS session, if it has one of its own. Node tells by these names alone. */
export function socketBelow(socket: Socket): Socket | undefined {
  const { _parent: below } = socket as { _parent?: unknown };
  if (!(below instanceof Socket)) return undefined;
  // One without a handle was wrapped first.
  const { stream } = below as { stream?: unknown };
  return stream instanceof Socket ? stream : below;
}
