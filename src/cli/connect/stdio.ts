import type { TLSSocket } from 'node:tls';
import { PortalError } from '../../lib/errors.js';
import type { Context } from '../context.js';

/** Joins stdin and stdout with an open connection, for programs such as `ssh` with ProxyCommand. Resolves at its end. */
export function overStdio(
  { stdin, stdout }: Pick<Context, 'stdin' | 'stdout'>,
  socket: TLSSocket,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    if (signal.aborted) socket.destroy();
    socket.once('close', (hadError) => {
      if (!hadError) resolve();
      else reject(new PortalError('service_offline', 'the connection was reset'));
    });
    stdin.pipe(socket);
    socket.pipe(stdout.stream, { end: false });
  });
}
