import { describe, expect, it } from 'vitest';
import { ask, askH2, edge, h2Visitor, HOST, httpSpec, VISITOR } from '../support/http-edge.js';
import { agent, desired, get, httpService, relay } from '../support/world.js';

/** A service that reports the requests it receives, and the name it runs under. */
async function mirror(name = 'mirror'): Promise<number> {
  const { port } = await httpService((request, response) => {
    const { method, url, rawHeaders } = request;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ name, method, url, headers: request.headers, rawHeaders }));
  });
  return port;
}

interface Mirrored {
  name: string;
  method: string;
  url: string;
  headers: Record<string, string>;
  rawHeaders: string[];
}

const seen = (body: string): Mirrored => JSON.parse(body) as Mirrored;

describe('through a relay', () => {
  it('sends each path to the target of its route', async () => {
    const at = await relay();
    const one = await agent();
    const spec = httpSpec('app', { '/api': await mirror('api'), '/': await mirror('web') });
    await one.runner.apply(desired([at.spec], spec));
    expect((await one.event('ready')).services).toMatchObject({
      app: { urls: [`https://app.localhost:${at.port}`] },
    });
    const bodyOf = async (path: string): Promise<Mirrored> => {
      const { text } = await get(at, HOST, one.ca, path);
      return seen(/\{.*\}/s.exec(text)![0]);
    };
    expect(await bodyOf('/api/users?x=1')).toMatchObject({
      name: 'api',
      url: '/users?x=1',
      headers: { 'x-forwarded-for': '127.0.0.1', 'x-forwarded-prefix': '/api' },
    });
    expect(await bodyOf('/')).toMatchObject({ name: 'web', url: '/' });
  });
});

describe('a route', () => {
  it('matches whole segments, the longest first, and is stripped', async () => {
    const at = await edge({
      '/': await mirror('root'),
      '/api': await mirror('api'),
      '/api/v2/': await mirror('v2'),
      '/kept': { to: await mirror('kept'), stripPrefix: false },
    });
    const ways: [requested: string, name: string, received: string][] = [
      ['/', 'root', '/'],
      ['/x?q=/api', 'root', '/x?q=/api'],
      ['/apix', 'root', '/apix'],
      ['/api', 'api', '/'],
      ['/api?x', 'api', '/?x'],
      ['/api/', 'api', '/'],
      ['/api/x/', 'api', '/x/'],
      ['/api/v2', 'v2', '/'],
      ['/api/v2/a//b', 'v2', '/a//b'],
      ['/api/v20', 'api', '/v20'],
      ['/kept', 'kept', '/kept'],
      ['/kept/a%2Fb?c=%20', 'kept', '/kept/a%2Fb?c=%20'],
      ['/API', 'root', '/API'],
    ];
    for (const [requested, name, received] of ways) {
      const { body } = await ask(at, requested);
      expect({ requested, ...seen(body) }).toMatchObject({ requested, name, url: received });
    }
  });

  it.each([
    '/api/../x',
    '/api/%2e%2e/x',
    '/api/.%2E/x',
    '/api/..%2fx',
    '/api/..\\x',
    '/api/%5c../x',
    '/api/..;/x',
    '/api/.',
    '/%61pi/x',
    '/api%2Fx',
    '/api\\x',
    '//api/x',
    '/api;v=1/x',
  ])('cannot be bypassed by spelling: %s', async (path) => {
    const at = await edge({ '/': await mirror('root'), '/api': await mirror('api') });
    expect(await ask(at, path)).toMatchObject({ status: 400, body: expect.stringContaining('ambiguous') });
  });

  it('keeps escapes that have one meaning', async () => {
    const at = await edge({ '/': await mirror('root'), '/api': await mirror('api') });
    for (const path of [
      '/api/group%2Fname',
      '/api/%C3%BC',
      '/a%20b',
      '/api/%',
      '/x;y=1',
      '/.well-known/x',
      '/api/..x',
    ]) {
      const { status, body } = await ask(at, path);
      expect({ path, status }).toEqual({ path, status: 200 });
      expect(seen(body).url).toBe(path.replace(/^\/api(?=\/)/, ''));
    }
  });

  it('that does not exist returns Portal’s page, 404', async () => {
    const at = await edge({ '/api': await mirror() });
    expect(await ask(at, '/other')).toMatchObject({ status: 404, headers: { 'cache-control': 'no-store' } });
    expect((await ask(at, '/other', { method: 'HEAD' })).body).toBe('');
  });
});

/** The request that a target receives with the Host `host`. */
const from = async (host: string, requested: Record<string, string>, prefix = '/'): Promise<Mirrored> => {
  const at = await edge({ [prefix]: { to: await mirror(), host } });
  const headers = Object.fromEntries(
    Object.entries(requested).map(([name, value]) => [name, value.replaceAll('{host}', at.host)]),
  );
  return seen((await ask(at, `${prefix}?x`, { headers })).body);
};

describe('the target receives', () => {
  const forged = {
    'x-forwarded-for': '1.2.3.4',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-prefix': '/evil',
    'x-forwarded-port': '1',
    forwarded: 'for=1.2.3.4',
    'x-real-ip': '1.2.3.4',
    x_forwarded_for: '1.2.3.4',
    'x-original-url': '/admin',
    proxy: 'http://evil.example',
  };

  it('the visitor’s address as the relay saw it, whatever the visitor claims', async () => {
    const at = await edge({ '/api': await mirror() });
    const { headers } = seen((await ask(at, '/api/x', { headers: forged })).body);
    expect(headers).toEqual({
      host: at.host,
      'x-forwarded-for': VISITOR,
      'x-forwarded-proto': 'https',
      'x-forwarded-host': at.host,
      'x-forwarded-prefix': '/api',
      forwarded: `for=${VISITOR};host="${at.host}";proto=https`,
      connection: 'keep-alive',
    });
  });

  it('an IPv6 address in the format of each header, and IPv4 as IPv4', async () => {
    const six = await edge({ '/': await mirror() }, { visitor: '2001:db8::7' });
    expect(seen((await ask(six, '/')).body).headers).toMatchObject({
      'x-forwarded-for': '2001:db8::7',
      forwarded: `for="[2001:db8::7]";host="${six.host}";proto=https`,
    });
    const mapped = await edge({ '/': await mirror() }, { visitor: '::ffff:192.0.2.1' });
    expect(seen((await ask(mapped, '/')).body).headers).toMatchObject({ 'x-forwarded-for': '192.0.2.1' });
  });

  it('its own name in Host if the route specifies it', async () => {
    const port = await mirror();
    const at = await edge({ '/': { to: port, host: 'target' } });
    expect(seen((await ask(at, '/')).body).headers).toMatchObject({
      host: `localhost:${port}`,
      'x-forwarded-host': `localhost:${port}`,
    });
  });

  describe('for the requesting page, when the target has another Host name,', () => {
    it.each([
      ['https://{host}', 'http://shop.test:8080'],
      ['HTTPS://{host}', 'http://shop.test:8080'],
      // Another site stays another site.
      ['https://evil.example', 'https://evil.example'],
      ['http://{host}', 'http://{host}'],
      ['https://{host}.evil.example', 'https://{host}.evil.example'],
      ['null', 'null'],
    ])('Origin %s becomes %s', async (origin, becomes) => {
      const { headers } = await from('shop.test:8080', { origin });
      expect(headers['origin']?.replace(/app\.localhost:\d+/i, '{host}')).toBe(becomes);
    });

    it.each([
      ['https://{host}/app/x?y', 'http://shop.test:8080/x?y'],
      ['https://{host}/app', 'http://shop.test:8080/'],
      ['https://{host}/other', 'http://shop.test:8080/other'],
      ['https://{host}/', 'http://shop.test:8080/'],
      ['https://{host}.evil.example/', 'https://{host}.evil.example/'],
      ['https://evil.example/https://{host}/', 'https://evil.example/https://{host}/'],
    ])('Referer %s becomes %s', async (referer, becomes) => {
      const { headers } = await from('shop.test:8080', { referer }, '/app');
      expect(headers['referer']?.replace(/app\.localhost:\d+/i, '{host}')).toBe(becomes);
    });

    it('a scheme that matches the target’s', async () => {
      const { headers } = await from('localhost:5173', { origin: 'https://{host}' });
      expect(headers).toMatchObject({
        host: 'localhost:5173',
        origin: 'http://localhost:5173',
        'x-forwarded-host': 'localhost:5173',
        'x-forwarded-proto': 'http',
        'x-forwarded-for': VISITOR,
        forwarded: `for=${VISITOR};host="localhost:5173";proto=http`,
      });
    });
  });

  it('the name that the service specifies, unless its route specifies another', async () => {
    const port = await mirror();
    const at = await edge({ '/': port, '/own': { to: port, host: 'visitor' } });
    at.handler.update({ ...at.spec(), host: 'shop.test' });
    const hostOf = async (path: string): Promise<unknown> => seen((await ask(at, path)).body).headers['host'];
    expect([await hostOf('/'), await hostOf('/own')]).toEqual(['shop.test', at.host]);
    at.handler.update({ ...at.spec(), routes: [], host: 'target' });
    expect(await hostOf('/')).toBe(`localhost:${port}`);
  });

  it('the headers that the route sets, and not those that it removes', async () => {
    const headers = { 'X-Env': 'demo', Cookie: null, 'X-Forwarded-Proto': 'http' };
    const at = await edge({ '/': { to: await mirror(), headers } });
    const requested = { cookie: 'a=b', 'x-env': 'forged', accept: 'text/plain' };
    const got = seen((await ask(at, '/', { headers: requested })).body).headers;
    expect(got).toMatchObject({ 'x-env': 'demo', accept: 'text/plain', 'x-forwarded-proto': 'http' });
    expect(got).not.toHaveProperty('cookie');
  });

  it('nothing about the visitor’s connection, but everything else', async () => {
    const at = await edge({ '/': await mirror() });
    const headers = {
      connection: 'close, X-Forwarded-For, Cookie, Authorization, Host, x-forwarded-proto, foo',
      'keep-alive': 'timeout=9',
      'proxy-connection': 'x',
      'proxy-authorization': 'x',
      te: 'gzip, trailers',
      foo: 'named in connection',
      cookie: 'a=b',
      authorization: 'Bearer x',
    };
    const got = seen((await ask(at, '/', { headers })).body).headers;
    expect(got).toMatchObject({
      'x-forwarded-for': VISITOR,
      'x-forwarded-proto': 'https',
      cookie: 'a=b',
      authorization: 'Bearer x',
      te: 'trailers',
    });
    for (const name of ['foo', 'keep-alive', 'proxy-connection', 'proxy-authorization']) {
      expect(got).not.toHaveProperty(name);
    }
  });

  it('the same from an HTTP/2 visitor, with its cookies as one', async () => {
    const at = await edge({ '/api': await mirror() });
    const visitor = await h2Visitor(at);
    const { body, headers } = await askH2(visitor, {
      ':path': '/api/x?y',
      cookie: ['a=1', 'b=2'],
      ...forged,
    });
    expect(headers).not.toHaveProperty('connection');
    expect(seen(body)).toMatchObject({
      url: '/x?y',
      headers: { host: at.host, cookie: 'a=1; b=2', 'x-forwarded-for': VISITOR, 'x-forwarded-host': at.host },
    });
    expect(seen(body).headers).not.toHaveProperty('x-real-ip');
  });
});
