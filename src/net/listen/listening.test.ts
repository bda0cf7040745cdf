import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { listening } from './listening.js';

// Node emits it if the system refuses to accept a connection, for example without a free file descriptor.
it('leaves a server that survives an error while it accepts a connection', async () => {
  const server = createServer();
  onTestFinished(() => void server.close());
  await listening(server, () => server.listen(0, '127.0.0.1'));
  expect(server.emit('error', new Error('accept EMFILE'))).toBe(true);
});

it('rejects with the error of a server that cannot listen', async () => {
  const first = createServer();
  onTestFinished(() => void first.close());
  await listening(first, () => first.listen(0, '127.0.0.1'));
  const second = createServer();
  const begin = (): void => void second.listen(first.address());
  await expect(listening(second, begin)).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
