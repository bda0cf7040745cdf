import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { InPlace, pour } from './pour.js';

// Without these internals, data is piped: slower, but correct. `npm run test:nodes` checks each Node version.
it(`finds the internals it needs in Node ${process.versions.node}`, async () => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => void accepted.push(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  onTestFinished(() => {
    for (const one of [socket, ...accepted]) one.destroy();
    server.close();
  });
  await once(socket, 'connect');
  await expect.poll(() => accepted.length).toBe(1);
  expect(pour(socket, accepted[0]!)).toBeInstanceOf(InPlace);
});
