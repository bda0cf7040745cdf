import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { HTTP_LIMITS } from '../../src/agent/modes/http/limits.js';
import { ask, askH2, connectTo, edge, h2Visitor, HOST, httpSpec } from '../support/http-edge.js';
import { agent, desired, get, relay } from '../support/world.js';

/** A service whose responses the test ends, and which records its connections. */
async function patient(name: string): Promise<{
  port: number;
  begun: ServerResponse[];
  connections: () => Promise<number>;
}> {
  const begun: ServerResponse[] = [];
  const server = createServer((request, response) => {
    if (request.url !== '/long') return response.end(name);
    response.write(`${name} begins `);
    return begun.push(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    begun,
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
      }),
  };
}

describe('an edit of routes', () => {
  it('applies to the next request; an active download finishes at its old target, which is then released', async () => {
    const [old, next] = [await patient('old'), await patient('next')];
    const at = await edge({ '/': old.port });
    const long = ask(at, '/long');
    const longer = askH2(await h2Visitor(at), { ':path': '/long' });
    await expect.poll(() => old.begun.length).toBe(2);
    at.update({ '/': { to: next.port, headers: { 'X-Env': 'new' } } });
    expect((await ask(at, '/')).body).toBe('next');
    for (const response of old.begun) response.write('continues ');
    at.update({ '/api': next.port });
    expect((await ask(at, '/')).status).toBe(404);
    for (const response of old.begun) response.end('ends');
    expect((await long).body).toBe('old begins continues ends');
    expect((await longer).body).toBe('old begins continues ends');
    await expect.poll(old.connections).toBe(0);
  });

  it('reaches a service that runs through a relay, without dropping connections', async () => {
    const [old, next] = [await patient('old'), await patient('next')];
    const at = await relay();
    const one = await agent();
    await one.runner.apply(desired([at.spec], httpSpec('app', { '/': old.port })));
    await one.event('ready');
    expect((await one.runner.status()).leases).toMatchObject([{ routes: { '/': `localhost:${old.port}` } }]);
    const long = get(at, HOST, one.ca, '/long');
    await expect.poll(() => old.begun.length).toBe(1);
    await one.runner.apply(desired([at.spec], httpSpec('app', { '/x': old.port, '/': next.port })));
    expect((await get(at, HOST, one.ca, '/')).text).toContain('next');
    expect((await get(at, HOST, one.ca, '/x')).text).toContain('old');
    old.begun[0]!.end('ends');
    expect((await long).text).toMatch(/old begins[\s\S]*ends/);
  });
});

describe('a close', () => {
  it('lets requests finish, accepts no more, and tells kept-alive connections to close', async () => {
    const service = await patient('service');
    const at = await edge({ '/': service.port });
    const idle = await connectTo(at);
    idle.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await once(idle, 'data');
    const visitor = await h2Visitor(at);
    const [first, second] = [ask(at, '/long'), askH2(visitor, { ':path': '/long' })];
    await expect.poll(() => service.begun.length).toBe(2);
    const idleClosed = once(idle, 'close');
    const goaway = once(visitor, 'goaway');
    const drained = at.handler.drain({ ms: 20_000 });
    await Promise.all([idleClosed, goaway]);
    for (const response of service.begun) response.end('ends');
    expect((await first).body).toBe('service begins ends');
    expect((await second).body).toBe('service begins ends');
    await drained;
    await expect.poll(service.connections).toBe(0);
  });

  it('a second, shorter close also shortens the first', async () => {
    const service = await patient('service');
    const at = await edge({ '/': service.port });
    const cut = ask(at, '/long').catch((error: Error) => error.message);
    await expect.poll(() => service.begun.length).toBe(1);
    const first = at.handler.drain({ ms: 600_000 });
    await at.handler.drain({ ms: 0 });
    await first;
    expect(await cut).toMatch(/aborted|hang up/);
  });

  it('ends requests that do not finish in time', async () => {
    const service = await patient('service');
    for (const drain of [{ ms: 200 }, { ms: 200, quietMs: 100 }]) {
      const at = await edge({ '/': service.port });
      const cut = ask(at, '/long').catch((error: Error) => error.message);
      await expect.poll(() => service.begun.length).toBeGreaterThan(0);
      await at.handler.drain(drain);
      expect(await cut).toMatch(/aborted|hang up/);
      service.begun.length = 0;
    }
  });
});

it('docs/guides/http.md names every limit', async () => {
  const text = await readFile(new URL('../../docs/guides/http.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `(\w+)` +\| ([\d,]+)( s| KiB)? /gm)].map(
    ([, name, count, unit]) => {
      const value = Number(count!.replaceAll(',', ''));
      return [name, unit === ' s' ? value * 1000 : unit === ' KiB' ? value * 1024 : value];
    },
  );
  expect(Object.fromEntries(documented)).toEqual(HTTP_LIMITS);
});
