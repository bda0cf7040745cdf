import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { resetSocket } from '../../src/net/splice/reset.js';
import { LIMITS } from '../../src/protocol/limits.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import {
  agent,
  desired,
  get,
  handedOver,
  NOT_HTTP,
  readAll,
  relay,
  service,
  tcpService,
  visit,
  type TestRelay,
} from '../support/world.js';
import { digest, hashService, visitAtOnce } from '../support/hash-service.js';
import { plainVisitor, receivedBy } from '../support/visitor.js';
import { wire } from '../support/wire.js';

/** Data connections of the carriers tls and ws that serve several visitors, one after another. */

const CARRIERS = ['tls', 'ws'] as const;
const LONG = 5_000_000;
/** The longest visit that leaves its connection to another one. */
const MAX = LIMITS.maxFramedBytes;

interface Counts {
  readonly opened: number;
  readonly reused: number;
}

/** Data connections so far. */
function countsOf(at: TestRelay): Counts {
  const { opened = 0, reused = 0 } = at.stats().dataConnections;
  return { opened, reused };
}

async function published(target: number, over: Partial<ServiceSpec> = {}, limits: Partial<RelayLimits> = {}) {
  const at = await relay({ ports: { tcp: 'any' }, limits });
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', target, { carrier: 'tls', ...over })));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const port = Number(tcpAddr?.split(':')[1]);
  return {
    at,
    ...one,
    counts: () => countsOf(at),
    /** A visitor, in either mode. */
    arrive: (): Promise<Socket> =>
      over.mode === 'tcp'
        ? plainVisitor(port)
        : visit(at, 'web.localhost', one.ca, { ...NOT_HTTP, allowHalfOpen: true } as never),
  };
}

/** A service whose agent reaches its relay through a path of the test. */
async function behindWire(target: number) {
  let behind = 0;
  const path = await wire(() => behind);
  const at = await relay({ publicPort: path.port });
  behind = at.port;
  const one = await agent();
  const spec = { kind: 'url', url: `https://localhost:${path.port}`, caFile: at.ca.certificateFile } as const;
  await one.runner.apply(desired([spec], service('web', target, { carrier: 'tls' })));
  await one.event('lease', ({ phase }) => phase === 'ready');
  return { path, at, ...one };
}

describe.each(CARRIERS)('a data connection of the carrier %s', (carrier) => {
  it('serves many visitors, one after another', async () => {
    const { port } = await hashService();
    const { at, ca, counts } = await published(port, { carrier });
    const before = counts();
    for (let number = 0; number < 60; number++)
      expect((await get(at, 'web.localhost', ca, `/${number}`)).text).toContain(`/${number} `);
    const { opened, reused } = counts();
    expect(reused - before.reused).toBeGreaterThanOrEqual(50);
    expect(opened - before.opened).toBeLessThanOrEqual(10);
  });

  it('serves concurrent visitors with their own bytes', async () => {
    const { port } = await hashService();
    const { at, ca, counts } = await published(port, { carrier });
    await visitAtOnce(25, 8, () => at, ca);
    expect(counts().reused).toBeGreaterThan(50);
  });
});

describe.each([
  ['stream', 'tls'],
  ['tcp', 'tls'],
  ['stream', 'ws'],
  ['tcp', 'ws'],
] as const)('in mode %s over %s', (mode, carrier) => {
  it('half-closes reach the other side, and the connection serves the next visitor', async () => {
    const target = await tcpService((socket) => {
      let said = '';
      socket.on('data', (chunk: Buffer) => (said += String(chunk)));
      socket.once('end', () => socket.end(`you said ${said}`));
    });
    const { arrive, counts } = await published(target, { mode, carrier });
    for (let number = 0; number < 6; number++) {
      const visitor = await arrive();
      visitor.end(`hello ${number}`);
      expect(String(await receivedBy(visitor))).toBe(`you said hello ${number}`);
    }
    await expect.poll(() => counts().reused).toBeGreaterThanOrEqual(3);
  });

  it('the visitor may send more after the service has ended', async () => {
    let received: Promise<Buffer> | undefined;
    const target = await tcpService((socket) => {
      received = receivedBy(socket);
      socket.end('220 ready\r\n');
    });
    const { arrive } = await published(target, { mode, carrier });
    for (let number = 0; number < 4; number++) {
      const visitor = await arrive();
      expect(String(await receivedBy(visitor))).toBe('220 ready\r\n');
      visitor.end(`bye ${number}`);
      expect(String(await received)).toBe(`bye ${number}`);
    }
  });

  it('a reset reaches the other side, and uses up the connection', async () => {
    const { port, next } = await handedOver();
    const { arrive, counts } = await published(port, { mode, carrier });
    for (let round = 0; round < 2; round++) {
      const first = await arrive();
      first.write('x');
      const reached = await next();
      await once(reached, 'data');
      reached.resetAndDestroy();
      await expect(readAll(first)).rejects.toMatchObject({ code: 'ECONNRESET' });
      const second = await arrive();
      second.write('x');
      const served = await next();
      const seen = new Promise((resolve) => served.once('error', resolve));
      resetSocket(second);
      expect(await seen).toMatchObject({ code: 'ECONNRESET' });
    }
    const { opened, reused } = counts();
    expect(opened).toBeGreaterThanOrEqual(4);
    expect(reused).toBeLessThanOrEqual(1);
  });

  it('long visits in both directions arrive unchanged, between short ones', async () => {
    const target = await tcpService((socket) => {
      const answer = async (): Promise<void> => {
        const bytes = await receivedBy(socket);
        socket.end(Buffer.concat([Buffer.from(digest(bytes)), bytes]));
      };
      void answer();
    });
    const { arrive, counts } = await published(target, { mode, carrier });
    for (const length of [10, LONG, 20, MAX, MAX + 1, 30, LONG, LONG, LONG, LONG, 40]) {
      const visitor = await arrive();
      const body = randomBytes(length);
      visitor.end(body);
      const answer = await receivedBy(visitor);
      expect(answer.subarray(0, 64).toString()).toBe(digest(body));
      expect(digest(answer.subarray(64))).toBe(digest(body));
    }
    await expect.poll(() => counts().reused).toBeGreaterThan(0);
  });

  it('a slow reader pauses the sender', async () => {
    const { port, next } = await handedOver();
    const { arrive } = await published(port, { mode, carrier });
    const visitor = await arrive();
    visitor.pause();
    visitor.write('x');
    const served = await next();
    let written = 0;
    const chunk = Buffer.alloc(1024 * 1024);
    // Each write is larger than what its buffers accept at once.
    while (served.writableLength < 64 * chunk.length && written < 400) {
      served.write(chunk);
      written++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(served.writableLength).toBeGreaterThan(chunk.length);
    visitor.resume();
    let received = 0;
    visitor.on('data', (part: Buffer) => (received += part.length));
    await expect.poll(() => received).toBe(written * chunk.length);
  });
});

it.each(CARRIERS)(
  'an agent and a relay of which one does not know reuse use %s as before',
  async (carrier) => {
    // The request without the header is that of an earlier agent; the response to it, that of an earlier relay.
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its socket below
    const { write } = Socket.prototype;
    const spy = vi.spyOn(Socket.prototype, 'write').mockImplementation(function (this: Socket, ...args) {
      if (typeof args[0] === 'string' && args[0].startsWith('GET /v1/data '))
        args[0] = args[0].replace(/portal-reuse: 1\r\n/i, '');
      return write.apply(this, args as never);
    });
    onTestFinished(() => spy.mockRestore());
    const { port } = await hashService();
    const { at, ca, counts } = await published(port, { carrier });
    for (let number = 0; number < 10; number++)
      expect((await get(at, 'web.localhost', ca, `/${number}`)).text).toContain(`/${number} `);
    expect(counts().opened).toBeGreaterThanOrEqual(10);
    expect(counts().reused).toBe(0);
  },
);

it('an agent serves visitors although its kept connections are lost at any moment', async () => {
  const { port } = await hashService();
  const { path, at, ca } = await behindWire(port);
  for (let round = 0; round < 4; round++) {
    // The first connection is the control channel. No visitor is on any other one now.
    for (const connection of path.connections.slice(1)) connection.kill();
    for (let number = 0; number < 3; number++)
      expect((await get(at, 'web.localhost', ca, `/${round}`)).text).toContain(`/${round} `);
    await expect.poll(() => at.counts().visitors).toBe(0);
  }
  expect(countsOf(at).reused).toBeGreaterThan(0);
});

it('a relay with a rate limit reuses connections', async () => {
  const { port } = await hashService();
  const limited = await published(port, {}, { maxBytesPerSecondPerIdentity: 1_000_000 });
  for (let number = 0; number < 12; number++)
    expect((await get(limited.at, 'web.localhost', limited.ca, `/${number}`)).text).toContain(`/${number} `);
  expect(limited.counts().reused).toBeGreaterThan(3);
});

describe('between visitors', () => {
  it('a connection without a ticket is closed after idleDataConnectionMs', async () => {
    const { port } = await hashService();
    const { at, ca, counts } = await published(port, {}, { idleDataConnectionMs: 50 });
    for (let number = 0; number < 6; number++)
      expect((await get(at, 'web.localhost', ca, `/${number}`)).text).toContain(`/${number} `);
    expect(counts().opened).toBeGreaterThan(2);
  });

  it('no connection survives its session', async () => {
    const { port } = await hashService();
    const { path, at, ca, runner } = await behindWire(port);
    for (let number = 0; number < 5; number++) await get(at, 'web.localhost', ca);
    expect(path.connections.length).toBeGreaterThan(1);
    await runner.stop({ reason: 'test', drainMs: 0 });
    await expect.poll(() => at.counts()).toMatchObject({ sessions: 0, tickets: 0, visitors: 0 });
    await expect.poll(() => path.connections.length).toBe(0);
  });
});
