import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { onTestFinished, type TestContext } from 'vitest';

/** Listens without accepting connections: a process that reports its port and then blocks forever. */
const LISTENER = `
  const server = require('node:net').createServer();
  server.listen({ host: process.argv[1], port: Number(process.argv[2]), backlog: 1 }, () => {
    require('node:fs').writeSync(1, server.address().port + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;
const QUEUED_MS = 1_000;
const MAX_QUEUE = 64;

/** A port at which connections are neither accepted nor refused, as behind a firewall that drops packets. */
export async function silentPort(context: TestContext, host: string, port = 0): Promise<number> {
  const child = spawn(process.execPath, ['-e', LISTENER, host, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const queued: Socket[] = [];
  onTestFinished(() => {
    child.kill('SIGKILL');
    for (const socket of queued) socket.destroy();
  });
  const at = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())));
    child.once('close', () => reject(new Error(`nothing listens at ${host}:${port}`)));
  });
  // The kernel accepts as many as its queue can hold. The next one gets no response.
  while (queued.length < MAX_QUEUE) {
    const socket = connect({ host, port: at });
    socket.on('error', () => undefined);
    queued.push(socket);
    const isTaken = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      setTimeout(() => resolve(false), QUEUED_MS);
    });
    if (!isTaken) return at;
  }
  return context.skip('this kernel accepts every connection');
}
