import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { caFolder } from '../../../test/support/ca-pool.js';
import { buildClientHello, intoRecords } from '../../../test/support/client-hello.js';
import { openLocalCa } from '../../certificates/local-ca.js';
import { LocalCertificates } from '../../certificates/source.js';
import { silent } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import { TlsEndpoint } from './tls-endpoint.js';

const SOMEBODY = { address: '192.0.2.1', port: 4321 };

/** An endpoint with a visitor whose handshake has begun. */
async function arriving(): Promise<{ endpoint: TlsEndpoint; visitor: Socket; accepted: Socket }> {
  const certificates = new LocalCertificates(async () => openLocalCa(await caFolder()));
  const endpoint = new TlsEndpoint({
    certificate: await certificates.forHostname('web.test'),
    choose: () => undefined,
    onVisitor: () => undefined,
    log: silent,
  });
  const server = createServer((socket) => endpoint.visit(socket, { remote: SOMEBODY, local: SOMEBODY }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const visitor = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  onTestFinished(() => {
    visitor.destroy();
    endpoint.close();
    server.close();
  });
  const [accepted] = (await once(server, 'connection')) as [Socket];
  visitor.write(intoRecords(buildClientHello({ serverName: 'web.test' })).subarray(0, 40));
  return { endpoint, visitor, accepted };
}

/** Without timers: a test replaces them. */
async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

/** Whether `waiting` is over after `ms` of a clock that only this test moves. */
async function isOverAfter(waiting: Promise<void>, ms: number): Promise<boolean> {
  let isOver = false;
  void waiting.then(() => (isOver = true));
  await vi.advanceTimersByTimeAsync(ms);
  return isOver;
}

it.each([
  [{ ms: 20_000, quietMs: 1_000 }, 900, false],
  [{ ms: 20_000, quietMs: 1_000 }, 1_100, true],
  [{ ms: 20_000, quietMs: 60_000 }, LIMITS.firstBytesMs - 100, false],
  [{ ms: 20_000 }, LIMITS.firstBytesMs + 100, true],
  [{ ms: 500 }, 400, false],
  [{ ms: 500 }, 600, true],
])('with %j, whether a handshake without bytes has ended after %i ms: %s', async (drain, ms, isOver) => {
  const { endpoint } = await arriving();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  expect(await isOverAfter(endpoint.arrived(drain), ms)).toBe(isOver);
});

it('waits as long as bytes of a handshake move, and no longer than it takes', async () => {
  const { endpoint, visitor, accepted } = await arriving();
  await eventually(() => accepted.bytesRead === 40);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const waiting = endpoint.arrived({ ms: 20_000, quietMs: 1_000 });
  expect(await isOverAfter(waiting, 900)).toBe(false);
  const rest = intoRecords(buildClientHello({ serverName: 'web.test' })).subarray(40, 41);
  visitor.write(rest);
  await eventually(() => accepted.bytesRead === 41);
  expect(await isOverAfter(waiting, 900)).toBe(false);
  visitor.destroy();
  await eventually(() => accepted.closed);
  expect(await isOverAfter(waiting, 20)).toBe(true);
});
