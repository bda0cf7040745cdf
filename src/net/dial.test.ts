import { createServer, type Server, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../test/support/ports.js';
import { hasIpv6, NO_IPV6 } from '../../test/support/ipv6.js';
import { silentPort } from '../../test/support/silent-port.js';
import { dial, DialError, secure, tlsNameOf, type Attempt, type DialOptions } from './dial.js';
import type { Family, Resolver } from './resolve.js';

const MS = 10_000;

/** Listens on a port that nothing listens on at the other loopback addresses, which refuse connections. */
async function listener(host: string, given?: number): Promise<number> {
  const port = given ?? (await freePort());
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, resolve);
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return port;
}

/** A resolver that answers when the test requests it. */
function resolver(first: Family = 6) {
  let tell: Parameters<Resolver['resolve']>[1] | undefined;
  return {
    first: () => first,
    resolve: (_name: string, resolved: NonNullable<typeof tell>) => void (tell = resolved),
    answer: (family: Family, ...addresses: string[]) => tell!(family, addresses),
    fail: (family: Family, code: string) => tell!(family, [], Object.assign(new Error(code), { code })),
  };
}

const fixed = (six: string[], four: string[], first: Family = 6): Resolver => ({
  first: () => first,
  resolve: (_name, resolved) => {
    resolved(6, six);
    resolved(4, four);
  },
});

/** Dials, and returns the address that connected and the addresses that failed before it. */
async function dialled(options: Partial<DialOptions> & { port: number }) {
  const attempts: Attempt[] = [];
  const outcome = await dial({
    host: 'name.test',
    ms: MS,
    onAttempt: (each) => attempts.push(each),
    ...options,
  });
  onTestFinished(() => void outcome.destroy());
  return { socket: outcome, address: outcome.remoteAddress, tried: attempts.map(({ address }) => address) };
}

describe('of two addresses', () => {
  test('dial uses the first one that connects', async () => {
    const port = await listener('127.0.0.1');
    const { address, tried } = await dialled({ port, resolver: fixed([], ['127.0.0.1']) });
    expect({ address, tried }).toEqual({ address: '127.0.0.1', tried: ['127.0.0.1'] });
  });

  test('dial tries the other immediately after a refusal', async () => {
    const port = await listener('127.0.0.1');
    const { address, tried } = await dialled({ port, resolver: fixed(['::1'], ['127.0.0.1']) });
    expect({ address, tried }).toEqual({ address: '127.0.0.1', tried: ['::1', '127.0.0.1'] });
  });

  test('dial uses the other if the first one is silent', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const port = await silentPort(context, '127.0.0.1', await freePort());
    await listener('::1', port);
    const { address, tried } = await dialled({ port, resolver: fixed(['::1'], ['127.0.0.1'], 4) });
    expect({ address, tried }).toEqual({ address: '::1', tried: ['::1'] });
  });

  test('dial first tries the one that connected last', async () => {
    const port = await listener('127.0.0.1');
    const host = 'remembered.test';
    await dialled({ host, port, resolver: fixed(['::1'], ['127.0.0.1']) });
    const again = await dialled({ host, port, resolver: fixed(['::1'], ['127.0.0.1']) });
    expect(again.tried).toEqual(['127.0.0.1']);
  });

  test('the address families alternate', async (context) => {
    const port = await listener('127.0.0.9').catch(() => context.skip('127.0.0.9 is not this machine here'));
    const { tried } = await dialled({
      port,
      resolver: fixed(['::1', '::ffff:127.0.0.2'], ['127.0.0.1', '127.0.0.9']),
    });
    expect(tried).toEqual(['::1', '127.0.0.1', '::ffff:127.0.0.2', '127.0.0.9']);
  });
});

describe('a lookup', () => {
  test('does not wait for the second family', async () => {
    const port = await listener('127.0.0.1');
    const names = resolver();
    const dialling = dialled({ port, resolver: names });
    names.answer(4, '127.0.0.1');
    expect((await dialling).address).toBe('127.0.0.1');
  });

  test('tries an address that arrives late once the others have failed', async () => {
    const port = await listener('127.0.0.1');
    const names = resolver();
    let failed: (() => void) | undefined;
    const hasFailed = new Promise<void>((resolve) => (failed = resolve));
    const dialling = dial({ host: 'late.test', port, ms: MS, resolver: names, onAttempt: () => failed!() });
    names.answer(6, '::1');
    await hasFailed;
    names.answer(4, '127.0.0.1');
    const socket = await dialling;
    expect(socket.remoteAddress).toBe('127.0.0.1');
    socket.destroy();
  });

  test.each([
    ['ENOTFOUND', 'EAI_AGAIN', 'EAI_AGAIN'],
    ['EAI_AGAIN', 'ENOTFOUND', 'EAI_AGAIN'],
    ['ENOTFOUND', 'ENOTFOUND', 'ENOTFOUND'],
  ])('a name without addresses (%s, %s) fails with %s', async (six, four, code) => {
    const names = resolver();
    const dialling = dial({ host: 'nowhere.test', port: 1, ms: MS, resolver: names });
    names.fail(6, six);
    names.fail(4, four);
    await expect(dialling).rejects.toMatchObject({ code });
  });

  test('localhost is both loopbacks, whatever the hosts file says', async (context) => {
    context.skip(!hasIpv6, NO_IPV6);
    const port = await listener('::1');
    expect((await dialled({ host: 'localhost', port })).address).toBe('::1');
  });
});

describe('when no address connects', () => {
  test('one address fails with the error of the system', async () => {
    const port = await freePort();
    await expect(dial({ host: '127.0.0.1', port, ms: MS })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      address: '127.0.0.1',
    });
  });

  test('several addresses fail with the error of each', async () => {
    const port = await freePort();
    const failure = await dial({
      host: 'name.test',
      port,
      ms: MS,
      resolver: fixed(['::1'], ['127.0.0.1']),
    }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DialError);
    expect(failure).toMatchObject({
      code: 'ECONNREFUSED',
      message: 'ECONNREFUSED at ::1, ECONNREFUSED at 127.0.0.1',
    });
  });

  test('each attempt has its timeout', async (context) => {
    const port = await silentPort(context, '127.0.0.1');
    await expect(dial({ host: '127.0.0.1', port, ms: MS, attemptMs: 50 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
  });

  test('the whole dial has a timeout, whose error lists the attempts', async (context) => {
    const port = await silentPort(context, '127.0.0.1');
    const dialling = dial({
      host: 'name.test',
      port,
      ms: 400,
      resolver: fixed(['::1'], ['127.0.0.1']),
    });
    await expect(dialling).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('ECONNREFUSED at ::1') as string,
    });
  });

  test('a resolver that never responds runs into that timeout', async () => {
    await expect(dial({ host: 'name.test', port: 1, ms: 50, resolver: resolver() })).rejects.toMatchObject({
      code: 'timeout',
    });
  });
});

describe('a signal', () => {
  test('that has aborted ends the dial before any attempt', async () => {
    const tried: Attempt[] = [];
    const options = { host: '127.0.0.1', port: 1, ms: MS, onAttempt: (each: Attempt) => tried.push(each) };
    await expect(dial({ ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'aborted',
    });
    expect(tried).toEqual([]);
  });

  test('ends a dial that waits', async (context) => {
    const port = await silentPort(context, '127.0.0.1');
    const stop = new AbortController();
    const dialling = dial({ host: '127.0.0.1', port, ms: MS, signal: stop.signal });
    setImmediate(() => stop.abort());
    await expect(dialling).rejects.toMatchObject({ code: 'aborted' });
  });
});

test('rejects TLS on a socket that is still connecting', async () => {
  const port = await listener('127.0.0.1');
  const socket = new (await import('node:net')).Socket();
  onTestFinished(() => void socket.destroy());
  socket.connect({ host: '127.0.0.1', port });
  expect(() => secure(socket, {})).toThrow(expect.objectContaining({ code: 'internal' }));
});

test.each([
  ['127.0.0.1', '127.0.0.1', undefined],
  ['[::1]', '::1', undefined],
  ['relay.test', 'relay.test', 'relay.test'],
])('a certificate must name %s', (typed, host, servername) => {
  expect(tlsNameOf(typed)).toEqual({ host, servername });
});
