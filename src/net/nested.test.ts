import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../certificates/local-ca.js';
import { resetSocket } from './splice/reset.js';

/** A client's TLS within TLS, as in a chain. Returns its layers, TCP first. */
async function nested(depth: number): Promise<Socket[]> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const pair = await (await openLocalCa(folder)).issue(['localhost']);
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const near: Socket[] = [connect({ port, host: '127.0.0.1', allowHalfOpen: true })];
  const far: Socket[] = [((await once(server, 'connection')) as [Socket])[0]];
  onTestFinished(() => {
    near[0]!.destroy();
    far[0]!.destroy();
    server.close();
  });
  for (let layer = 1; layer <= depth; layer++) {
    const inner = new TLSSocket(far.at(-1)!, { isServer: true, ...pair });
    const outer = connectTls({ socket: near.at(-1)!, rejectUnauthorized: false });
    far.push(inner);
    near.push(outer);
    await Promise.all([once(outer, 'secureConnect'), once(inner, 'secure')]);
  }
  for (const socket of [...near, ...far]) socket.on('error', () => undefined);
  return near;
}

it.each([1, 2, 3])('a reset closes every layer of TLS in %d layers', async (depth) => {
  const layers = await nested(depth);
  const closed = layers.map((socket) => new Promise((resolve) => socket.once('close', resolve)));
  resetSocket(layers.at(-1)!);
  await Promise.all(closed);
  expect(layers.every(({ destroyed }) => destroyed)).toBe(true);
});
