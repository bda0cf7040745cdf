import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { onTestFinished } from 'vitest';
import { delay } from '../../src/lib/wait.js';

const START_MS = 60_000;
const STOP_MS = 5_000;

/** Starts a program and waits until its socket accepts connections. It ends with the test. */
export async function daemon(program: string, args: readonly string[], socketPath: string): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += String(chunk)));
  let ended = false;
  const end = new Promise<void>((resolve) => {
    const over = (): void => {
      ended = true;
      resolve();
    };
    child.once('error', over).once('close', over);
  });
  onTestFinished(async () => {
    child.kill('SIGTERM');
    const killing = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await end;
    clearTimeout(killing);
  });
  const deadline = Date.now() + START_MS;
  while (!(await answers(socketPath))) {
    if (ended || Date.now() > deadline) throw new Error(`${program} did not start: ${said}`);
    await delay(20);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
