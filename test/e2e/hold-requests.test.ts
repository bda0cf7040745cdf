import { createHmac, randomBytes } from 'node:crypto';
import { connect as connectH2 } from 'node:http2';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { expect, it, onTestFinished } from 'vitest';
import { chain } from '../support/chain.js';
import { HOLD, holdingPlace, HOOKS_HOST, receiver, sendHook } from '../support/hold.js';
import { readAll, visit } from '../support/world.js';
import { parseTarget } from '../../src/net/target/target.js';

/** Which requests are held, and where they are delivered. */

const routesTo = (routes: Record<string, number>, held: readonly string[]) => ({
  routes: Object.entries(routes).map(([prefix, port]) => ({
    prefix,
    target: parseTarget(port),
    stripPrefix: false,
    headers: {},
    responseHeaders: {},
    ...(held.includes(prefix) && { hold: HOLD }),
  })),
});

it('holds what a gate lets pass, and nothing else', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const secret = 'a long enough secret';
  const one = await here.start(target.port, { access: { webhook: { provider: 'github', secret } } });
  const signature = `sha256=${createHmac('sha256', secret).update('signed').digest('hex')}`;
  const fields = `X-Hub-Signature-256: ${signature}\r\n`;
  expect((await sendHook(here, one, 'forged', { fields })).status).toBe(403);
  expect((await sendHook(here, one, 'unsigned')).status).toBe(403);
  expect((await sendHook(here, one, 'signed', { fields })).status).toBe(202);
  expect(await here.files()).toHaveLength(1);
  await target.up();
  await one.event('delivered');
  expect(target.received).toMatchObject([{ body: 'signed', headers: { 'x-hub-signature-256': signature } }]);
});

it('holds a long body of which the agent has read a part, over HTTP/1.1 and HTTP/2', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  await target.up();
  const one = await here.start(target.port);
  const warm = await sendHook(here, one, 'up');
  expect(warm.status).toBe(200);
  await target.down();
  const body = randomBytes(600_000).toString('base64');
  expect((await sendHook(here, one, body)).status).toBe(202);

  const socket = await visit(here.at, HOOKS_HOST, one.ca, { ALPNProtocols: ['h2'] });
  const session = connectH2(`https://${HOOKS_HOST}`, { createConnection: () => socket });
  onTestFinished(() => session.destroy());
  const stream = session.request({ ':method': 'POST', ':path': '/h2', 'x-portal-held': 'forged' });
  stream.end(body);
  const [response] = (await once(stream, 'response')) as [Record<string, string>];
  expect(response[':status']).toBe(202);
  stream.resume();
  await target.up();
  await one.event('delivered', ({ waiting }) => waiting === 0);
  expect(target.received.slice(1).map((each) => each.body === body)).toEqual([true, true]);
  expect(target.received[2]!.headers['x-portal-held']).toBe(response['x-portal-held']);
});

it('holds a body that its sender sends only after `100 Continue`', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const one = await here.start(target.port);
  const socket = await visit(here.at, HOOKS_HOST, one.ca);
  const continued = new Promise<void>((resolve) =>
    socket.on('data', (chunk: Buffer) => {
      if (chunk.toString().startsWith('HTTP/1.1 100')) resolve();
    }),
  );
  socket.write(
    `POST / HTTP/1.1\r\nHost: ${HOOKS_HOST}\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
  );
  await continued;
  socket.write('later');
  expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1\.1 202 /);
  await target.up();
  await one.event('delivered');
  expect(target.bodies()).toEqual(['later']);
});

it('does not hold a body over the limit, nor a request that it cannot store', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const one = await here.start(target.port);
  const long = await sendHook(here, one, 'x'.repeat(4 * 1024 * 1024 + 1));
  expect(long.status).toBe(503);
  expect(long.text).toMatch(/^retry-after: 3\r$/im);
  await rm(here.heldDir, { recursive: true });
  await writeFile(here.heldDir, 'a file');
  expect((await sendHook(here, one, 'unstored')).status).toBe(503);
  await target.up();
  await expect.poll(async () => (await sendHook(here, one, 'direct')).status).toBe(200);
  expect(target.bodies()).toEqual(['direct']);
});

it('rejects a request beyond the limit of a service, and delivers those that it holds', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const one = await here.start(target.port, {}, { holdLimits: { maxOfService: 2 } });
  for (const body of ['one', 'two']) expect((await sendHook(here, one, body)).status).toBe(202);
  const full = await sendHook(here, one, 'too many');
  expect(full.status).toBe(503);
  expect(full.text).toMatch(/^retry-after: 30\r$/im);
  await target.up();
  await one.event('delivered', ({ waiting }) => waiting === 0);
  expect(target.bodies()).toEqual(['one', 'two']);
});

it('serves a service without a mode as http, so that requests are held from its start', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const one = await here.start(target.port, { mode: 'auto', alpn: 'auto' });
  expect((await sendHook(here, one, 'early')).status).toBe(202);
  await target.up();
  await one.event('delivered');
  expect(target.bodies()).toEqual(['early']);
});

it('holds requests that arrive over a chain', async () => {
  const { entry, spec } = await chain(2);
  const here = await holdingPlace({ at: entry, via: spec });
  const target = await receiver();
  const one = await here.start(target.port, { carrier: 'tls' });
  for (const body of ['one', 'two']) expect((await sendHook(here, one, body)).status).toBe(202);
  await target.up();
  await one.event('delivered', ({ waiting }) => waiting === 0);
  expect(target.bodies()).toEqual(['one', 'two']);
});

it('delivers to the new target of the route, and only routes with `hold` hold', async () => {
  const here = await holdingPlace();
  const [former, next] = [await receiver(), await receiver()];
  const spec = { hold: undefined as never };
  const one = await here.start(former.port, {
    ...spec,
    ...routesTo({ '/github': former.port, '/': former.port }, ['/github']),
  });
  expect((await sendHook(here, one, 'other', { path: '/other' })).status).toBe(503);
  expect((await sendHook(here, one, 'held')).status).toBe(202);
  await next.up();
  await here.apply(one, next.port, {
    ...spec,
    ...routesTo({ '/github': next.port, '/': former.port }, ['/github']),
  });
  await one.event('delivered');
  expect(next.received).toMatchObject([{ url: '/github?x=1', body: 'held' }]);
});

it('delivers what it holds when `hold` is removed, and keeps it while the route is', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const spec = { hold: undefined as never };
  const both = { ...spec, ...routesTo({ '/github': target.port, '/': target.port }, ['/github']) };
  const one = await here.start(target.port, both);
  expect((await sendHook(here, one, 'held')).status).toBe(202);
  const without = { ...spec, ...routesTo({ '/': target.port }, []) };
  expect(one.runner.plan(here.wanted(target.port, both))[0]).not.toHaveProperty('heldWithoutRoute');
  expect(one.runner.plan(here.wanted(target.port, without))).toMatchObject([{ heldWithoutRoute: 1 }]);
  expect(one.runner.plan({ ...here.wanted(target.port, both), services: [] })).toMatchObject([
    { kind: 'close', heldWithoutRoute: 1 },
  ]);
  await here.apply(one, target.port, without);
  await target.up();
  // It is not delivered to another route.
  await expect.poll(async () => (await sendHook(here, one, 'direct')).status).toBe(200);
  expect(target.bodies()).toEqual(['direct']);
  expect(await here.files()).toHaveLength(1);
  await here.apply(one, target.port, {
    ...spec,
    ...routesTo({ '/github': target.port, '/': target.port }, []),
  });
  await one.event('delivered');
  expect(target.bodies()).toEqual(['direct', 'held']);
});

it('retries after a response of 500 and a reset, and counts 404 as delivered', async () => {
  const here = await holdingPlace();
  const target = await receiver();
  const one = await here.start(target.port);
  await sendHook(here, one, 'first');
  await sendHook(here, one, 'second');
  const answers = [500, 'reset', 404, 302] as const;
  target.respondWith(() => answers[target.received.length] ?? 200);
  await target.up();
  await one.event('delivered', ({ waiting }) => waiting === 0);
  expect(target.bodies()).toEqual(['first', 'first', 'first', 'second']);
  expect(one.events.filter(({ event }) => event === 'delivered')).toMatchObject([
    { status: 404, attempts: 3 },
    { status: 302, attempts: 1 },
  ]);
});
