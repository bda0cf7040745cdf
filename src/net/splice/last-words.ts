import type { Duplex } from 'node:stream';

/**
 * Writes `data`, ends, and closes both directions within `lingerMs` whatever the peer does. Until then it reads and
 * drops input: closing with unread input would reset the connection and lose the data.
 */
export function endWith(socket: Duplex, data: string | Buffer, lingerMs: number): void {
  if (!socket.writable) return void socket.destroy();
  socket.end(data);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once('end', () => socket.destroy());
  socket.once('close', () => clearTimeout(timer));
}
