import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { readLine } from './read-line.js';

async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const near = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const [far] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return { near, far };
}

it('reads a line from any number of pieces', async () => {
  const { near, far } = await pair();
  const line = readLine(near, 64);
  for (const piece of ['he', 'll', 'o']) await new Promise<void>((done) => far.write(piece, () => done()));
  far.write('\n');
  expect(await line).toBe('hello');
});

it('leaves the bytes after the line, even if they arrived with it, and the end', async () => {
  const { near, far } = await pair();
  far.end('hello\nfirst\nsecond');
  expect(await readLine(near, 64)).toBe('hello');
  expect(await readLine(near, 64)).toBe('first');
  const chunks: Buffer[] = [];
  near.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(near, 'end');
  expect(Buffer.concat(chunks).toString()).toBe('second');
});

it.each(['x'.repeat(65), `${'x'.repeat(65)}\n`])('rejects a line over the limit', async (text) => {
  const { near, far } = await pair();
  far.write(text);
  await expect(readLine(near, 64)).rejects.toMatchObject({ code: 'protocol', message: /more than 64 bytes/ });
});

it('accepts a line of exactly the limit', async () => {
  const { near, far } = await pair();
  far.write(`${'x'.repeat(64)}\n`);
  expect(await readLine(near, 64)).toHaveLength(64);
});

it('rejects when the connection ends, or was closed before', async () => {
  const { near, far } = await pair();
  far.end('half a line');
  await expect(readLine(near, 64)).rejects.toMatchObject({ code: 'protocol', message: /closed/ });
  near.destroy();
  await expect(readLine(near, 64)).rejects.toMatchObject({ code: 'protocol' });
});
