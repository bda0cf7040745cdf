import type { Server } from 'node:net';

/** Calls `begin`, and resolves once `server` listens. Rejects with Node's error. */
export function listening(server: Server, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      server.off('error', settle).off('listening', settle);
      if (error) reject(error);
      else resolve();
    };
    server.once('error', settle).once('listening', settle);
    begin();
  });
}
