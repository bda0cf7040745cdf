import { describe, expect, it } from 'vitest';
import { ask, edge } from '../support/http-edge.js';
import { httpService } from '../support/world.js';

/** A service that responds with the header fields in the query, as JSON. */
async function answering(): Promise<number> {
  const { port } = await httpService((request, response) => {
    const query = decodeURIComponent(request.url!.split('?')[1] ?? '%7B%7D');
    for (const [name, value] of Object.entries(JSON.parse(query) as Record<string, string | string[]>))
      response.setHeader(name, value);
    response.end();
  });
  return port;
}

async function answeredWith(
  prefix: string,
  headers: Record<string, string | string[]>,
  over: object = {},
): Promise<Record<string, unknown>> {
  const port = await answering();
  const other = await answering();
  const at = await edge({ [prefix]: { to: port, ...over }, '/other': other });
  const filled = JSON.stringify(headers)
    .replaceAll('{port}', String(port))
    .replaceAll('{other}', String(other))
    .replaceAll('{host}', at.host);
  const { headers: got } = await ask(at, `${prefix}?${encodeURIComponent(filled)}`);
  return JSON.parse(
    JSON.stringify(got).replaceAll(at.host, '{host}').replaceAll(`:${port}`, ':{port}'),
  ) as Record<string, unknown>;
}

describe('a URL in a response', () => {
  it.each([
    // An absolute path belongs to the target.
    ['/login', '/app/login'],
    ['/', '/app/'],
    ['/apple', '/app/apple'],
    ['/app/login', '/app/login'],
    ['/app', '/app'],
    ['/login?next=/x#y', '/app/login?next=/x#y'],
    // So does its origin, under any name.
    ['http://127.0.0.1:{port}/x', 'https://{host}/app/x'],
    ['http://localhost:{port}/x', 'https://{host}/app/x'],
    ['HTTP://[::1]:{port}', 'https://{host}/app'],
    ['http://127.0.0.1:{port}?a', 'https://{host}/app/?a'],
    ['//localhost:{port}/x', 'https://{host}/app/x'],
    // The public host. The target does not know that visitors use TLS.
    ['http://{host}/x', 'https://{host}/app/x'],
    ['https://{host}/app/x', 'https://{host}/app/x'],
    // A target that trusts X-Forwarded-Proto uses https in its own URLs.
    ['https://127.0.0.1:{port}/x', 'https://{host}/app/x'],
    ['https://localhost:{port}/x', 'https://{host}/app/x'],
    ['HTTPS://[::1]:{port}', 'https://{host}/app'],
    ['https://localhost:{other}/x', 'https://{host}/other/x'],
    ['https://localhost:1/x', 'https://localhost:1/x'],
    ['https://127.0.0.1/x', 'https://127.0.0.1/x'],
    // Another route's target.
    ['http://localhost:{other}/x', 'https://{host}/other/x'],
    // Everything else stays.
    ['https://example.com/x', 'https://example.com/x'],
    ['http://localhost:1/x', 'http://localhost:1/x'],
    ['http://user@localhost:{port}/x', 'http://user@localhost:{port}/x'],
    ['//example.com/x', '//example.com/x'],
    ['/\\example.com', '/\\example.com'],
    ['relative?x', 'relative?x'],
    ['../up', '../up'],
    ['', ''],
    ['mailto:a@example.com', 'mailto:a@example.com'],
  ])('%s becomes %s', async (location, seen) => {
    const refresh = `0; url=${location}`;
    expect(await answeredWith('/app', { location, 'content-location': location, refresh })).toMatchObject({
      location: seen,
      'content-location': seen,
      refresh: `0; url=${seen}`,
    });
  });

  it('keeps its path if no prefix was stripped, but its origin changes', async () => {
    expect(await answeredWith('/app', { location: '/login' }, { stripPrefix: false })).toMatchObject({
      location: '/login',
    });
    expect(
      await answeredWith('/app', { location: 'http://localhost:{port}/app/x' }, { stripPrefix: false }),
    ).toMatchObject({ location: 'https://{host}/app/x' });
    expect(await answeredWith('/', { location: '/login' })).toMatchObject({ location: '/login' });
  });

  it('changes in Content-Location and Refresh, too', async () => {
    const headers = { 'content-location': '/doc', refresh: '5; url=http://localhost:{port}/next' };
    expect(await answeredWith('/app', headers)).toMatchObject({
      'content-location': '/app/doc',
      refresh: '5; url=https://{host}/app/next',
    });
    expect(await answeredWith('/app', { refresh: '5' })).toMatchObject({ refresh: '5' });
    expect(await answeredWith('/app', { refresh: "0;URL='/x'" })).toMatchObject({
      refresh: "0;URL='/app/x'",
    });
  });
});

describe('a response of a target with another Host name', () => {
  it.each([
    ['http://shop.test:8080/x', 'https://{host}/app/x'],
    ['https://shop.test:8080/x', 'https://{host}/app/x'],
    ['http://localhost:{port}/x', 'https://{host}/app/x'],
    ['http://shop.test/x', 'http://shop.test/x'],
  ])('gets its redirect to %s rewritten to %s', async (location, seen) => {
    const got = await answeredWith('/app', { location }, { host: 'shop.test:8080' });
    expect(got['location']).toBe(seen);
  });

  it('gets its cookies for that name rewritten to the public name', async () => {
    const cookie = ['a=b; Domain=shop.test', 'c=d; Domain=other.test'];
    expect(
      (await answeredWith('/app', { 'set-cookie': cookie }, { host: 'shop.test:8080' }))['set-cookie'],
    ).toEqual(['a=b', 'c=d; Domain=other.test']);
  });
});

describe('a cookie in a response', () => {
  it.each([
    ['a=b', 'a=b'],
    ['a=b; Path=/', 'a=b; Path=/app'],
    ['a=b; path=/x; Secure', 'a=b; path=/app/x; Secure'],
    ['a=b; Path=/app/x', 'a=b; Path=/app/x'],
    ['a=b; Domain=localhost', 'a=b'],
    ['a=b; Domain=127.0.0.1; HttpOnly', 'a=b; HttpOnly'],
    ['a=b; Domain=.app.localhost; Path=/', 'a=b; Path=/app'],
    ['a=b; Domain=example.com', 'a=b; Domain=example.com'],
    ['__Host-a=b; Path=/; Secure', '__Host-a=b; Path=/; Secure'],
    ['path=/x; Path=/', 'path=/x; Path=/app'],
    ['a="x;y"; Path=/', 'a="x;y"; Path=/app'],
  ])('%s becomes %s', async (cookie, seen) => {
    expect((await answeredWith('/app', { 'set-cookie': [cookie, 'z=1'] }))['set-cookie']).toEqual([
      seen,
      'z=1',
    ]);
  });
});

describe('a header of a response', () => {
  it('is set or removed as the route specifies', async () => {
    const responseHeaders = { Server: null, 'X-Robots-Tag': 'noindex', 'cache-control': 'no-store' };
    const got = await answeredWith('/app', { server: 'x', 'Cache-Control': 'public' }, { responseHeaders });
    expect(got).toMatchObject({ 'x-robots-tag': 'noindex', 'cache-control': 'no-store' });
    expect(got).not.toHaveProperty('server');
  });

  it('is removed if it describes one connection or other ports of this machine', async () => {
    const got = await answeredWith('/app', {
      connection: 'x-hop',
      'x-hop': '1',
      'x-end': '2',
      'keep-alive': 'timeout=77',
      'proxy-authenticate': 'x',
      'alt-svc': 'h3=":443"',
    });
    expect(got).toMatchObject({ 'x-end': '2' });
    for (const name of ['x-hop', 'proxy-authenticate', 'alt-svc']) expect(got).not.toHaveProperty(name);
    expect(got['keep-alive']).not.toBe('timeout=77');
  });
});
