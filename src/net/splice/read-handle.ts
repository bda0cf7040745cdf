import type { Socket } from 'node:net';
import { constants } from 'node:os';

interface ReadHandle {
  readonly reading?: boolean;
  readStart?(): number;
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

/** Only this internal name exposes it. */
function handleOf(socket: Socket | undefined): ReadHandle | undefined {
  const { _handle: handle } = (socket ?? {}) as { _handle?: ReadHandle | null };
  return handle ?? undefined;
}
