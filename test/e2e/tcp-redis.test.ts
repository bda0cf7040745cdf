/** A real server and its own client, over a public port of a relay. */
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { programFor } from '../support/debian.js';
import { redis } from '../support/redis.js';
import { agent, desired, relay, service } from '../support/world.js';

const run = promisify(execFile);

test('Redis and redis-cli work: commands, pipelines, a large value, and messages that the server pushes', async (context) => {
  const [server, client] = [
    await programFor(context, 'redis-server'),
    await programFor(context, 'redis-cli'),
  ];
  const at = await relay({ ports: { tcp: 'any' } });
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('cache', await redis(server), { mode: 'tcp' })));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const port = tcpAddr!.split(':')[1]!;
  const cli = async (...args: string[]): Promise<string> =>
    (await run(client, ['-h', '127.0.0.1', '-p', port, ...args], { maxBuffer: 1e8 })).stdout.trim();

  expect(await cli('set', 'name', 'portal')).toBe('OK');
  expect(await cli('get', 'name')).toBe('portal');

  const pipeline = spawn(client, ['-h', '127.0.0.1', '-p', port, '--pipe']);
  pipeline.stdin.end(Array.from({ length: 20_000 }, (_, i) => `SET key:${i} ${i}\r\n`).join(''));
  let report = '';
  pipeline.stdout.on('data', (chunk: Buffer) => (report += chunk.toString()));
  await once(pipeline, 'close');
  expect(report).toContain('errors: 0, replies: 20000');
  expect(await cli('get', 'key:19999')).toBe('19999');

  const value = randomBytes(8_000_000).toString('hex');
  const writer = spawn(client, ['-h', '127.0.0.1', '-p', port, '-x', 'set', 'large']);
  writer.stdin.end(value);
  await once(writer, 'close');
  expect(sha(await cli('get', 'large'))).toBe(sha(value));

  const subscriber = spawn(client, ['-h', '127.0.0.1', '-p', port, 'subscribe', 'news']);
  onTestFinished(() => void subscriber.kill('SIGKILL'));
  let received = '';
  const hears = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (received.includes(text)) resolve();
      };
      subscriber.stdout.on('data', look);
      look();
    });
  subscriber.stdout.on('data', (chunk: Buffer) => (received += chunk.toString()));
  await hears('subscribe');
  expect(await cli('publish', 'news', 'it works')).toBe('1');
  await hears('it works');
});

function sha(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
