import { execFileSync } from 'node:child_process';
import { open, readFile, writeFile, type FileHandle } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemCode } from '../../src/lib/errors.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { delay, within } from '../../src/lib/wait.js';
import { tcp } from './relay-peer.js';
import { Person, type Running } from './cli-support.js';

/** Signals at each moment of a relay's life. */

const relayWith = (workers: number): string[] => [
  'relay',
  '--json',
  '--workers',
  String(workers),
  '--listen',
  '127.0.0.1:0',
];

/** A relay whose start waits for a pipe that has no writer yet. */
async function halfStarted(
  workers: number,
): Promise<{ operator: Person; running: Running; pipe: FileHandle }> {
  const operator = await Person.create();
  const file = join(operator.folder, 'peer-ca.pem');
  execFileSync('mkfifo', [file]);
  const running = operator.start([
    ...relayWith(workers),
    '--peer',
    'https://peer.example',
    '--peer-ca',
    'peer-ca.pem',
  ]);
  const pipe = await within(opened(file), 30_000, 'the relay to read the pipe');
  onTestFinished(() => pipe.close().catch(() => undefined));
  return { operator, running, pipe };
}

/** The writing end, once the pipe has a reader. */
async function opened(pipe: string): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (systemCode(error) !== 'ENXIO') throw error;
      await delay(5);
    }
  }
}

describe.skipIf(process.platform === 'win32').each([1, 2])(
  'a relay with --workers %i that is starting',
  (workers) => {
    it('survives SIGHUP, SIGUSR1 and SIGUSR2', async () => {
      const { operator, running, pipe } = await halfStarted(workers);
      for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
        running.kill(signal);
        await running.line(new RegExp(`"signal":"${signal}"`));
      }
      const { certificatePem } = await openLocalCa(join(operator.folder, 'ca'));
      await writeFile(pipe, certificatePem);
      await pipe.close();
      const { url } = (await running.event('listening')) as unknown as { url: string };
      await tcp({ port: Number(new URL(url).port) });
      expect(running.stderr).not.toContain('Debugger listening');
    });

    it.each(['SIGTERM', 'SIGINT'] as const)('exits with 0 after %s', async (signal) => {
      const { running, pipe } = await halfStarted(workers);
      running.kill(signal);
      await running.line(new RegExp(`"signal":"${signal}"`));
      // Node does not exit while one of its threads is blocked in a read of a pipe.
      await pipe.close();
      expect(await running.finished).toMatchObject({ code: 0, signal: null, stdout: '' });
      expect(running.stderr).toContain(`"signal":"${signal}"`);
    });

    it.skipIf(process.platform !== 'linux')('handles SIGHUP from its first moments on', async () => {
      const operator = await Person.create();
      const running = operator.start(relayWith(workers));
      await within(caught(running.pid), 30_000, 'the relay to catch SIGHUP');
      running.kill('SIGHUP');
      await running.line(/"signal":"SIGHUP"/);
      expect(await running.event('listening')).toMatchObject({ domain: 'localhost' });
    });
  },
);

describe.skipIf(process.platform === 'win32').each([1, 2])('a running relay with --workers %i', (workers) => {
  it('survives SIGUSR1 and SIGUSR2, and logs that they have no effect', async () => {
    const operator = await Person.create();
    const running = operator.start(relayWith(workers));
    const { url } = (await running.event('listening')) as unknown as { url: string };
    for (const signal of ['SIGUSR1', 'SIGUSR2'] as const) {
      running.kill(signal);
      await running.line(new RegExp(`"signal":"${signal}".*does nothing`));
    }
    await tcp({ port: Number(new URL(url).port) });
    expect(running.stderr).not.toContain('Debugger listening');
    running.kill('SIGTERM');
    expect((await running.finished).code).toBe(0);
  });
});

/** Resolves once the process handles SIGHUP, signal 1. */
async function caught(pid: number): Promise<void> {
  for (;;) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1];
    if (mask !== undefined && (BigInt(`0x${mask}`) & 1n) === 1n) return;
    await delay(1);
  }
}

it('npm passes a signal on to the relay of `npm run portal`', async () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const operator = await Person.create(['npm', '--prefix', root, 'run', '--silent', 'portal', '--']);
  const running = operator.start(['relay', '--json', '--listen', '127.0.0.1:0', '--log-level', 'info']);
  await running.event('listening');
  running.kill('SIGTERM');
  // Resolves once no process still has its output open.
  expect((await running.finished).stderr).toContain('relay closed');
});
