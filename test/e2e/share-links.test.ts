import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AccessSpec } from '../../src/agent/spec.js';
import { inspectorOf } from '../support/inspector.js';
import { HOST, PIN, shared } from '../support/shared-site.js';
import { readAll, visit } from '../support/world.js';

/** Share links, as visitors use them. */

describe.each(['stream', 'http'] as const)('a share link in mode %s', (mode) => {
  it('opens its path past the PIN, by a cookie that the service does not get', async () => {
    const { create, ask, opened, seen } = await shared({ pin: PIN }, mode);
    const { target } = await create('/demo');
    const first = await ask(`GET ${target.replace('?', '/page?x=1&')}`);
    expect([first.status, first.header('location')]).toEqual([303, '/demo/page?x=1']);
    expect(first.header('referrer-policy')).toBe('no-referrer');
    expect(first.header('cache-control')).toBe('no-store');
    expect(first.header('set-cookie')).toMatch(
      /^__Secure-portal-share=[\w.-]+; Path=\/demo; Max-Age=3[56]\d\d; Secure; HttpOnly; SameSite=Lax$/,
    );
    const cookie = await opened(target);
    const Cookie = `theme=dark; ${cookie.Cookie}`;
    for (const path of ['/demo', '/demo/', '/demo/page?x=1'])
      expect((await ask(`GET ${path}`, { Cookie })).text).toContain('the site');
    expect(seen.map(({ url, headers }) => [url, headers.cookie])).toEqual([
      ['/demo', 'theme=dark'],
      ['/demo/', 'theme=dark'],
      ['/demo/page?x=1', 'theme=dark'],
    ]);
    const outside = [
      '/',
      '/demo2',
      '/admin',
      '/demo/../admin',
      '/demo/%2e%2e/admin',
      '/demo/..%2fadmin',
      '/demo%2f..%2fadmin',
    ];
    for (const path of outside)
      expect([path, (await ask(`GET ${path}`, { Cookie })).status]).toEqual([path, 401]);
    expect(seen).toHaveLength(3);
  });

  it('works over HTTP/2', async () => {
    const { at, one, create } = await shared({ pin: PIN }, mode);
    const { target } = await create();
    const socket = await visit(at, HOST, one.ca, { ALPNProtocols: ['h2', 'http/1.1'] });
    expect(socket.alpnProtocol).toBe('h2');
    const session = connectH2(`https://${HOST}`, { createConnection: () => socket });
    onTestFinished(() => session.destroy());
    const get = async (headers: Record<string, string>) => {
      const stream = session.request(headers);
      const [answered] = (await once(stream, 'response')) as [Record<string, unknown>];
      stream.resume();
      return answered;
    };
    const first = await get({ ':path': target });
    expect([first[':status'], first['location']]).toEqual([303, '/']);
    const [cookie] = (first['set-cookie'] as string[])[0]!.split(';', 1);
    expect((await get({ ':path': '/', cookie: cookie! }))[':status']).toBe(200);
    expect((await get({ ':path': '/' }))[':status']).toBe(401);
  });
});

describe('an invalid link', () => {
  it('has one page, whether it expired, was revoked, or was changed', async () => {
    const { create, ask, one, store, seen } = await shared();
    const revoked = await create('/demo');
    await store.revoke(revoked.id, Date.now());
    await one.runner.sharing!.load();
    const { target } = await create('/demo');
    const expired = await create('/demo', Date.now() + 1_100);
    const targets = [
      revoked.target,
      target.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      target.replace('/demo', '/admin'),
      target.replace('/demo', '//evil.example'),
      target.replace('L2RlbW8', 'Lw'),
      '/demo?portal-share=',
    ];
    const pages = new Set<string>();
    for (const each of targets) {
      const { status, text, header } = await ask(`GET ${each}`);
      expect([each, status, header('set-cookie')]).toEqual([each, 403, undefined]);
      expect(header('referrer-policy')).toBe('no-referrer');
      expect(header('location')).toBeUndefined();
      pages.add(text.slice(text.indexOf('\r\n\r\n')));
    }
    expect(pages.size).toBe(1);
    expect([...pages][0]).toContain('This link is not valid');
    await expect.poll(async () => (await ask(`GET ${expired.target}`)).status, { timeout: 5_000 }).toBe(403);
    expect((await ask(`POST ${target}`)).status).toBe(403);
    expect(seen).toEqual([]);
  });

  it('is not a redirect to another site', async () => {
    const { create, ask } = await shared();
    const { target } = await create();
    const query = target.slice(1);
    for (const path of ['//evil.example/', '/\\evil.example/', '///evil.example']) {
      const { status, header } = await ask(`GET ${path}${query}`);
      expect([path, status, header('location')]).toEqual([path, 403, undefined]);
    }
  });

  it('costs the visitor none of its attempts if it cannot be valid, or if another site loads it as a file', async () => {
    const { ask, create } = await shared();
    const { target } = await create('/demo');
    const image = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Dest': 'image' };
    const invalid: [string, Record<string, string>][] = [
      ['/?portal-share=x', {}],
      [target.replace('/demo', '/admin'), {}],
      [target.replace(/(?<==\w{8})\.\d+\.\d+\./, '.1000000000.1000000001.'), {}],
      [`${target.slice(0, -8)}AAAAAAAA`, image],
      [target, image],
    ];
    for (const [path, fields] of invalid) {
      const statuses = new Set<number>();
      for (let i = 0; i < 25; i++) statuses.add((await ask(`GET ${path}`, fields)).status);
      expect([path, ...statuses]).toEqual([path, 403]);
    }
    expect(
      (await ask(`GET ${target}`, { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Dest': 'document' })).status,
    ).toBe(303);
  }, 60_000);

  it('is verified only so often for one visitor', async () => {
    const { ask, create } = await shared();
    const { target } = await create();
    const pages = new Map<number, string>();
    for (let i = 0; i < 60; i++) {
      const { status, text } = await ask(`GET ${target.slice(0, -8)}AAAAAAAA`);
      pages.set(status, text);
    }
    expect([...pages.keys()]).toEqual([403, 429]);
    // It is another limit.
    expect(pages.get(429)).not.toContain('rateLimit');
  }, 60_000);
});

describe('a link with a path', () => {
  it('does not open ambiguous paths, which a target could read as another one', async () => {
    const { create, ask, opened, seen } = await shared();
    const cookie = await opened((await create('/demo')).target);
    const ambiguous = ['.%09./admin', '%u002e%u002e/x', '%c0%ae%c0%ae/x', '..%20/x', 'a;b', 'a\\b', '%'];
    for (const rest of ambiguous)
      expect([rest, (await ask(`GET /demo/${rest}`, cookie)).status]).toEqual([rest, 401]);
    expect(seen).toEqual([]);
  });

  it('does not open other paths by a header field', async () => {
    const { create, ask, opened, seen } = await shared();
    const cookie = await opened((await create('/demo')).target);
    const overrides = {
      'X-Original-URL': '/admin',
      'X-Rewrite-URL': '/admin',
      'X-Forwarded-Prefix': '/admin',
      'X-HTTP-Method-Override': 'DELETE',
      'X-Method-Override': 'DELETE',
      'X-Invoke-Path': '/admin',
      'x-amz-copy-source': '/admin',
    };
    expect((await ask('GET /demo', { ...cookie, ...overrides, 'X-Kept': '1' })).status).toBe(200);
    expect(JSON.stringify(seen[0]!.rawHeaders)).not.toMatch(/admin|DELETE/);
    expect(seen[0]!.headers['x-kept']).toBe('1');
    // Where nothing limits the path, the service may use them.
    expect((await ask('GET /', { 'Portal-Pin': PIN, 'X-HTTP-Method-Override': 'DELETE' })).status).toBe(200);
    expect(seen[1]!.headers['x-http-method-override']).toBe('DELETE');
  });

  it('forwards no trailers, which could name another path', async () => {
    const { at, one, create, opened, seen } = await shared();
    const { Cookie } = await opened((await create('/demo')).target);
    const socket = await visit(at, HOST, one.ca);
    const ended = readAll(socket);
    socket.write(
      `COPY /demo/a HTTP/1.1\r\nHost: ${HOST}\r\nCookie: ${Cookie}\r\nTransfer-Encoding: chunked\r\nTrailer: Destination\r\nConnection: close\r\n\r\n` +
        '1\r\nx\r\n0\r\nDestination: /admin\r\nX-HTTP-Method-Override: DELETE\r\n\r\n',
    );
    expect((await ended).toString()).toMatch(/^HTTP\/1\.1 200 /);
    const request = seen[0]!;
    if (!request.readableEnded) await once(request.resume(), 'end');
    expect([request.headers.trailer, request.rawTrailers]).toEqual([undefined, []]);
  });

  it.each([
    ['/demo/b', 200],
    [`https://${HOST}/demo/b`, 200],
    [`HTTPS://${HOST}:8443/demo/b`, 200],
    ['/admin', 401],
    ['/demo/../admin', 401],
    [`https://${HOST}/admin`, 401],
    ['https://other.example/demo/b', 401],
    [`http://${HOST}/demo/b`, 401],
    [`https://${HOST}`, 401],
    ['/demo/a#/../../admin', 401],
    ['demo/b', 401],
    ['', 401],
  ])('opens a copy or move of WebDAV to %j: %i', async (Destination, status) => {
    const { create, ask, opened, seen } = await shared();
    const cookie = await opened((await create('/demo')).target);
    expect((await ask('MOVE /demo/a', { ...cookie, Destination })).status).toBe(status);
    expect(seen).toHaveLength(status === 200 ? 1 : 0);
  });
});

it('leaves the paths of a gate to the gate', async () => {
  const { create, ask, opened, seen } = await shared();
  const cookie = await opened((await create()).target);
  expect((await ask('GET /__portal/pin', cookie)).status).toBe(401);
  expect(seen).toEqual([]);
});

it('applies the other gates to visitors with a link', async () => {
  const access: AccessSpec = {
    pin: PIN,
    allowIps: ['127.0.0.2', '127.0.0.3'],
    rateLimit: { requests: 1, per: 'h', burst: 2 },
  };
  const { create, ask } = await shared(access);
  const { target } = await create();
  expect((await ask(`GET ${target}`, {}, '127.0.0.1')).status).toBe(403);
  const { header } = await ask(`GET ${target}`, {}, '127.0.0.2');
  const Cookie = header('set-cookie')!.split(';', 1)[0]!;
  expect((await ask('GET /', { Cookie }, '127.0.0.2')).status).toBe(200);
  expect((await ask('GET /', { Cookie }, '127.0.0.2')).status).toBe(429);
});

it('refuses to create a link that would open nothing', async () => {
  const { create } = await shared({ rateLimit: { requests: 1, per: 's', burst: 5 } });
  await expect(create()).rejects.toMatchObject({
    code: 'usage',
    hint: expect.stringContaining('none of them') as string,
  });
});

it('ends when a gate that it passes changes', async () => {
  const { create, ask, opened, change } = await shared();
  const { target } = await create();
  const cookie = await opened(target);
  await change({ pin: PIN, allowIps: ['127.0.0.0/8'] });
  expect((await ask('GET /', cookie)).status).toBe(200);
  await change({ pin: 'another pin' });
  expect((await ask('GET /', cookie)).status).toBe(401);
  expect((await ask(`GET ${target}`)).status).toBe(403);
});

it('disconnects its visitors when it is revoked, and others not', async () => {
  const { one, store, create, opened, change, serveSockets, openSocket } = await shared();
  await serveSockets();
  const link = await create();
  const cookie = await opened(link.target);
  const [byLink, byPin] = [await openSocket(cookie), await openSocket({ 'Portal-Pin': PIN })];
  const closed = once(byLink, 'close');
  await store.revoke(link.id, Date.now());
  await one.runner.sharing!.load();
  await closed;
  expect(byPin.readyState).toBe(byPin.OPEN);

  const short = await create('/', Date.now() + 2_100);
  const byShort = await openSocket(await opened(short.target));
  await once(byShort, 'close');
  await store.revokeAll(Date.now());
  await one.runner.sharing!.load();
  const next = await create();
  expect(await opened(next.target)).toHaveProperty('Cookie');
  await change({});
});

it('keeps tokens out of the inspector', async () => {
  const { one, create, ask } = await shared();
  const { rows } = await inspectorOf(one);
  const { target } = await create('/demo');
  await ask(`GET ${target}`);
  await ask(`GET ${target}x`);
  await expect
    .poll(() => [...rows.values()].map((row) => [row.target, row.status, row.portal?.gate]))
    .toEqual([
      ['/demo?portal-share=***', 303, undefined],
      ['/demo?portal-share=***', 403, 'pin'],
    ]);
});
