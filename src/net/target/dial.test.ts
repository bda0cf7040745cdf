import { createServer, type Server } from 'node:net';
import { describe, expect, it } from 'vitest';
import { freePort } from '../../../test/support/ports.js';
import { hasIpv6, NO_IPV6 } from '../../../test/support/ipv6.js';
import { LOOPBACKS, serveOn, type Loopback } from '../../../test/support/loopbacks.js';
import { dialTarget } from './dial.js';
import { parseTarget, type Target } from './target.js';

const MS = 5_000;

const server = (): Server => createServer((socket) => socket.on('error', () => undefined));

/** The address that a connection to `target` reached. */
async function reached(target: Target): Promise<string | undefined> {
  const socket = await dialTarget(target, MS);
  const { remoteAddress } = socket;
  socket.destroy();
  return remoteAddress;
}

const failure = (target: Target): Promise<unknown> =>
  dialTarget(target, MS).then(
    () => 'connected',
    (error: unknown) => error,
  );

describe('a target on this machine', () => {
  it.for(
    LOOPBACKS.flatMap((at) =>
      (['', 'localhost:', 'http://localhost:', 'app.localhost:'] as const).map((name) => [name, at] as const),
    ),
  )('written as %sPORT is found on %s', async ([name, at], { skip }) => {
    if (at === '::1' && !hasIpv6) skip(NO_IPV6);
    const port = await freePort();
    await serveOn(at, port, server);
    expect(await reached(parseTarget(`${name}${port}`))).toBe(at);
  });

  it('is tried first where it connected last', async ({ skip }) => {
    if (!hasIpv6) skip(NO_IPV6);
    const port = await freePort();
    const target = parseTarget(port);
    const six = await serveOn('::1', port, server);
    expect(await reached(target)).toBe('::1');
    await serveOn('127.0.0.1', port, server);
    expect(await reached(target)).toBe('::1');
    // A new target without history.
    expect(await reached(parseTarget(port))).toBe('127.0.0.1');
    await six.close();
    expect(await reached(target)).toBe('127.0.0.1');
    await serveOn('::1', port, server);
    expect(await reached(target)).toBe('127.0.0.1');
  });

  it('is found again each time it moves', async ({ skip }) => {
    if (!hasIpv6) skip(NO_IPV6);
    const port = await freePort();
    const target = parseTarget(port);
    for (const at of ['127.0.0.1', '::1', '127.0.0.1', '::1'] satisfies Loopback[]) {
      const one = await serveOn(at, port, server);
      expect(await reached(target)).toBe(at);
      await one.close();
    }
  });

  it('that does not listen is reported with its port and the tried addresses', async () => {
    const port = await freePort();
    const tried = hasIpv6 ? '127.0.0.1 and ::1' : '127.0.0.1';
    for (const text of [port, `localhost:${port}`])
      expect(await failure(parseTarget(text))).toMatchObject({
        code: 'target_down',
        message: `nothing listens on port ${port} (tried ${tried})`,
      });
  });
});

describe('a target by address', () => {
  it('is tried only there', async ({ skip }) => {
    if (!hasIpv6) skip(NO_IPV6);
    const port = await freePort();
    const one = await serveOn('::1', port, server);
    const four = parseTarget(`127.0.0.1:${port}`);
    const message = (at: string): unknown => ({
      message: `${at}:${port} refused the connection (ECONNREFUSED)`,
    });
    expect(await failure(four)).toMatchObject(message('127.0.0.1') as object);
    await one.close();
    await serveOn('127.0.0.1', port, server);
    expect(await failure(parseTarget(`[::1]:${port}`))).toMatchObject(message('[::1]') as object);
    expect(await reached(four)).toBe('127.0.0.1');
  });
});

it('reports a target whose name does not resolve', async () => {
  expect(await failure(parseTarget('nobody.invalid:1'))).toMatchObject({
    code: 'target_down',
    message: expect.stringMatching(/^nobody\.invalid cannot be resolved: .+ \(E\w+\)$/) as string,
  });
});

it('a cancelled dial ends immediately, before it starts or while it waits', async () => {
  // TEST-NET-1 (RFC 5737): never responds, if the system has a route to it at all.
  const target = parseTarget('192.0.2.1:9');
  const cancel = new AbortController();
  const dialling = dialTarget(target, MS, cancel.signal);
  cancel.abort();
  await expect(dialling).rejects.toMatchObject({
    code: expect.stringMatching(/aborted|target_down/) as string,
  });
  await expect(dialTarget(target, MS, cancel.signal)).rejects.toMatchObject({ code: 'aborted' });
});
