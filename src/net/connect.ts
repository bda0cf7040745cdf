import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { within } from '../lib/wait.js';

/**
 * Connects; rejects after `ms`, or once `signal` aborts. The socket lives on without either, and no error of it reaches
 * the process. `what` names the wait in the error.
 */
export async function connectWithin(
  options: TcpNetConnectOpts,
  ms: number,
  what: string,
  signal?: AbortSignal,
): Promise<Socket> {
  const socket = connect(options);
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => undefined);
  try {
    await within(connected, ms, what, signal);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
