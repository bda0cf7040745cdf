import type { Socket } from 'node:net';
import { PortalError } from '../lib/errors.js';

/**
 * Reads the first line of `socket`, without its end (LF), and leaves the bytes after it for the next reader. Throws
 * `protocol` for a line of more than `maxBytes`, and when the socket ends or closes first. The caller sets a timeout and
 * destroys the socket.
 */
export function readLine(socket: Socket, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let said: Buffer = Buffer.alloc(0);
    const finish = (settle: () => void): void => {
      socket.off('readable', check).off('close', stop);
      settle();
    };
    const stop = (): void =>
      finish(() => reject(new PortalError('protocol', 'the connection was closed during its handshake')));
    // Read only available bytes: reading past the end would consume the end, which the next reader must see.
    const read = (): void => {
      said = Buffer.concat([said, socket.read() as Buffer]);
      const end = said.indexOf('\n');
      if (end > maxBytes || (end < 0 && said.length > maxBytes))
        return finish(() =>
          reject(new PortalError('protocol', `a line of the handshake has more than ${maxBytes} bytes`)),
        );
      if (end < 0) return;
      const rest = said.subarray(end + 1);
      finish(() => {
        if (rest.length > 0) socket.unshift(rest);
        resolve(said.toString('latin1', 0, end));
      });
    };
    // Without bytes, this event announces the end.
    const check = (): void => (socket.readableLength > 0 ? read() : stop());
    if (socket.destroyed) return stop();
    socket.on('readable', check).once('close', stop);
    if (socket.readableLength > 0) read();
  });
}
