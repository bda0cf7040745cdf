/** `import { expose } from 'portal-up'`, offline with the embedded relay. */
import { createHmac } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import type { ExposeOptions, RunOptions, Tunnel } from '../../src/library/api.js';
import { expose } from '../../src/library/index.js';
import { temporaryFolder } from '../support/folder.js';
import { freePort } from '../support/ports.js';
import { httpService } from '../support/world.js';

const echo: RequestListener = (request, response) => {
  request.pipe(response.writeHead(201, { 'x-path': request.url ?? '' }));
};

async function tunnelTo(target: number, options: ExposeOptions = {}, run: RunOptions = {}): Promise<Tunnel> {
  const tunnel = await expose(target, options, { home: await temporaryFolder(), ...run });
  onTestFinished(() => tunnel.close({ drainMs: 0 }));
  return tunnel;
}

it('publishes a service, and ends with its block', async () => {
  const { port } = await httpService(echo);
  const home = await temporaryFolder();
  let url: string;
  {
    await using tunnel = await expose(port, { name: 'shop' }, { home });
    ({ url } = tunnel);
    expect(url).toMatch(/^https:\/\/shop\.localhost:\d+$/);
    const response = await tunnel.fetch('/a?b=c', { method: 'POST', body: 'hello' });
    expect(response.status).toBe(201);
    expect(response.headers.get('x-path')).toBe('/a?b=c');
    expect(await response.text()).toBe('hello');
    await expect(tunnel.fetch('https://example.com/')).rejects.toThrow('is not a URL of this tunnel');
  }
  // Its relay has stopped too.
  const { default: https } = await import('node:https');
  await expect(
    new Promise((_, reject) => https.get(url.replace('shop.localhost', '127.0.0.1')).once('error', reject)),
  ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

it('reports the identity that it creates to derive a name', async () => {
  const kinds: string[] = [];
  const { port } = await httpService(echo);
  await tunnelTo(port, {}, { onEvent: (event) => event.event === 'notice' && kinds.push(event.kind) });
  expect(kinds).toContain('identity_created');
});

it('records the requests of a webhook, with their exact bytes', async () => {
  const tunnel = await tunnelTo((await httpService(echo)).port, { inspect: true });
  const body = JSON.stringify({ event: 'paid', note: 'é' });
  const signature = createHmac('sha256', 'secret').update(body).digest('hex');
  const waiting = tunnel.waitForRequest({ method: 'post', path: '/hook' });
  await tunnel.fetch('/other');
  await tunnel.fetch('/hook?id=1', { method: 'POST', headers: { 'X-Signature': signature }, body });
  const request = await waiting;
  expect(request).toMatchObject({ method: 'POST', path: '/hook?id=1', response: { status: 201 } });
  expect(request.body.json()).toEqual({ event: 'paid', note: 'é' });
  expect(createHmac('sha256', 'secret').update(request.body.bytes).digest('hex')).toBe(
    request.headers['x-signature'],
  );
  expect(tunnel.requests().map(({ path }) => path)).toEqual(['/other', '/hook?id=1']);
});

it('returns each request once, in their order, including those before the call', async () => {
  const tunnel = await tunnelTo((await httpService(echo)).port, { inspect: true });
  for (const path of ['/1', '/2', '/3']) await tunnel.fetch(path);
  expect((await tunnel.waitForRequest('/2')).path).toBe('/2');
  expect((await tunnel.waitForRequest()).path).toBe('/1');
  expect((await tunnel.waitForRequest(({ path }) => path !== '/1')).path).toBe('/3');
  await expect(tunnel.waitForRequest('/2', { timeoutMs: 1 })).rejects.toMatchObject({ code: 'timeout' });
});

it('keeps the settings of portal.yaml', async () => {
  const tunnel = await tunnelTo((await httpService(echo)).port, { mode: 'http', access: { pin: '123456' } });
  expect((await tunnel.fetch('/')).status).toBe(401);
  expect((await tunnel.fetch('/', { headers: { 'Portal-Pin': '123456' } })).status).toBe(201);
});

it('reports options that portal.yaml would reject, and creates nothing', async () => {
  const home = `${await temporaryFolder()}/new`;
  const wrong = expose(3000, { mode: 'htpp' as 'http' }, { home });
  await expect(wrong).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('mode') });
  const { existsSync } = await import('node:fs');
  expect(existsSync(home)).toBe(false);
});

it('says how to record, where nothing is recorded', async () => {
  const tunnel = await tunnelTo((await httpService(echo)).port);
  expect(() => tunnel.requests()).toThrow('are not recorded');
});

it('can be aborted while it opens, and while it waits', async () => {
  const stop = new AbortController();
  const silent = await freePort();
  const events: string[] = [];
  const opening = tunnelTo(
    1,
    {},
    {
      relays: [`https://127.0.0.1:${silent}`],
      signal: stop.signal,
      onEvent: ({ event }) => {
        events.push(event);
        if (event === 'lease') stop.abort(new Error('enough'));
      },
    },
  );
  await expect(opening).rejects.toThrow('enough');
  expect(events.at(-1)).toBe('stopped');

  const tunnel = await tunnelTo((await httpService(echo)).port, { inspect: true });
  const waiting = tunnel.waitForRequest('/never');
  await Promise.all([expect(waiting).rejects.toMatchObject({ code: 'aborted' }), tunnel.close()]);
});

it('rejects with the error of the relay', async () => {
  const silent = await freePort();
  const opening = tunnelTo(1, {}, { relays: [`https://127.0.0.1:${silent}`], timeoutMs: 200 });
  await expect(opening).rejects.toMatchObject({ code: 'timeout' });
});
