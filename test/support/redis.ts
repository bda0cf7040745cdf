import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './folder.js';

/** A Redis server on a separate socket, in a folder that is removed with the test. */
export async function redis(path: string): Promise<string> {
  const folder = await temporaryFolder();
  const socket = `${folder}/redis.sock`;
  const child = spawn(path, ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', folder]);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null) await once(child, 'exit');
  });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (/ready to accept connections/i.test(said)) resolve();
    });
    child.once('exit', () => reject(new Error(`redis-server ended: ${said}`)));
  });
  return `unix:${socket}`;
}
