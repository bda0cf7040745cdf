import type { Server } from 'node:net';

/**
 * Calls `begin`, and resolves once `server` listens. Rejects with Node's error. Later errors are ignored: the system refused one
 * connection, for example without a free file descriptor, and the server accepts the next one.
 */
export function listening(server: Server, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      server.off('error', settle).off('listening', settle);
      if (error) return reject(error);
      server.on('error', ignore);
      resolve();
    };
    server.once('error', settle).once('listening', settle);
    begin();
  });
}

const ignore = (): void => undefined;
