import type { Socket } from 'node:net';
import { constants } from 'node:os';

interface ReadHandle {
  reading?: boolean;
  readStart?(): number;
  readStop?(): number;
}

const EALREADY = -constants.errno.EALREADY;

/**
 * A function that reads from the system's socket, and returns whether it was already doing so. At the socket's end, libuv
 * stops. `undefined`: this version of Node has other internals.
 */
export function readerOf(socket: Socket | undefined): (() => boolean) | undefined {
  const handle = handleOf(socket);
  if (typeof handle?.readStart !== 'function') return undefined;
  return () => handle.readStart?.() === EALREADY;
}

/** Whether the stream of `socket` takes what arrives: it does not while earlier data waits for a reader. */
export function takesInput(socket: Socket): boolean {
  return handleOf(socket)?.reading === true;
}

/**
 * Pauses a socket, and leaves what arrives to the system: `pause` alone reads on until the buffer of the stream is full. Returns a
 * function that lets the socket read again, still paused. Call it before any `resume`.
 */
export function stopReading(socket: Socket): () => void {
  let isOver = false;
  socket.pause();
  const stop = (): void => {
    const handle = handleOf(socket);
    if (isOver || typeof handle?.readStop !== 'function') return;
    handle.reading = false;
    handle.readStop();
  };
  // In the turn of a chunk, the stream begins the next read in a tick of its own, after this one.
  process.nextTick(() => process.nextTick(stop));
  return () => {
    isOver = true;
    const handle = handleOf(socket);
    if (handle?.reading !== false) return;
    handle.reading = true;
    handle.readStart?.();
  };
}

/** Only this internal name exposes it. */
function handleOf(socket: Socket | undefined): ReadHandle | undefined {
  const { _handle: handle } = (socket ?? {}) as { _handle?: ReadHandle | null };
  return handle ?? undefined;
}
