import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** The body of one HTTPS response on a new connection that trusts only the CA in `caFile`. */
export async function httpsGet(url: string, caFile: string, host = '127.0.0.1'): Promise<string> {
  const ca = await readFile(caFile);
  const { hostname, port, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    // The loopback by address: not every resolver knows names below localhost.
    const outgoing = request({
      host,
      port,
      path: `${pathname}${search}`,
      servername: hostname,
      headers: { host: hostname },
      ca,
      agent: false,
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.once('end', () => resolve(body));
    });
    outgoing.end();
  });
}

/** A visitor of a public TCP port, whose side stays open after the other side's end. */
export async function plainVisitor(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** Everything until the other side's end. Unlike an iteration, keeps this side open. */
export function receivedBy(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    socket.once('end', () => resolve(Buffer.concat(chunks)));
    socket.once('error', reject);
  });
}
