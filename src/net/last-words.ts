import type { Duplex } from 'node:stream';

/**
 * Writes `words`, ends, and closes both ways within `lingerMs` whatever the other side does. Until then what it
 * says is read and dropped: closing with unread input would reset the connection and take the words with it.
 */
export function endWith(socket: Duplex, words: string | Buffer, lingerMs: number): void {
  if (!socket.writable) return void socket.destroy();
  socket.end(words);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.once('end', () => socket.destroy());
  socket.once('close', () => clearTimeout(timer));
}
