import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { AccessSpec, Mode, ServiceSpec } from '../../src/agent/spec.js';
import { agent, desired, httpService, readAll, relay, service, visit } from '../support/world.js';

/** The PIN gate, as seen by browsers, programs and guessers. */

const PIN = 'correct horse';
const HOST = 'app.localhost';

async function published(
  mode: Mode,
  target: number,
  access: AccessSpec = { pin: PIN },
  over: Partial<ServiceSpec> = {},
) {
  const at = await relay();
  const one = await agent();
  const spec = service('app', target, { mode, access, ...over });
  await one.runner.apply(desired([at.spec], spec));
  await one.event('lease', ({ phase }) => phase === 'ready');
  return {
    ...one,
    at,
    change: (next: AccessSpec) => one.runner.apply(desired([at.spec], { ...spec, access: next })),
  };
}

type Published = Awaited<ReturnType<typeof published>>;

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly header: (name: string) => string | undefined;
}

async function ask(
  to: Published,
  head: string,
  headers: Record<string, string> = {},
  body = '',
): Promise<Answer> {
  const socket = await visit(to.at, HOST, to.ca);
  const lines = Object.entries({ Host: HOST, Connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const length = body === '' ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  socket.write(`${head} HTTP/1.1\r\n${lines.join('')}${length}\r\n${body}`);
  const text = (await readAll(socket)).toString();
  return {
    status: Number(text.slice(9, 12)),
    text,
    header: (name) => new RegExp(`^${name}: (.*)\r$`, 'im').exec(text)?.[1],
  };
}

const BROWSER = { Accept: 'text/html,*/*;q=0.8' };
const FORM = { ...BROWSER, 'Content-Type': 'application/x-www-form-urlencoded' };

const submit = (to: Published, pin: string, path = '/', fields = {}): Promise<Answer> =>
  ask(to, 'POST /__portal/pin', { ...FORM, ...fields }, new URLSearchParams({ pin, to: path }).toString());

/** The cookies that a browser would send from now on. */
async function loggedIn(to: Published): Promise<{ Cookie: string }> {
  const cookie = (await submit(to, PIN)).header('set-cookie');
  return { Cookie: cookie!.split(';', 1)[0]! };
}

/** A site that records requests. */
async function site() {
  const seen: IncomingMessage[] = [];
  const { port } = await httpService((request, response) => {
    seen.push(request);
    response.setHeader('x-secret', 'header').end('the secret site');
  });
  return { port, seen };
}

describe.each(['stream', 'http'] as const)('mode %s', (mode) => {
  it('shows a page that asks for the PIN, and nothing of the site', async () => {
    const { port, seen } = await site();
    const one = await published(mode, port);
    for (const head of [
      'GET /',
      'GET /robots.txt',
      'GET /favicon.ico',
      'POST /api',
      'DELETE /x',
      'OPTIONS *',
    ]) {
      const { status, text, header } = await ask(one, head, BROWSER);
      expect([head, status]).toEqual([head, 401]);
      expect(text).not.toContain('secret');
      expect(header('x-robots-tag')).toBe('noindex');
      expect(header('cache-control')).toBe('no-store');
      expect(header('www-authenticate')).toBe('Portal-Pin realm="app"');
      expect(header('content-security-policy')).toContain("default-src 'none'");
    }
    expect((await ask(one, 'HEAD /', BROWSER)).text).not.toContain('<form');
    expect(seen).toEqual([]);
  });

  it('admits visitors who know it, redirects to the requested page, and hides its cookie from the target', async () => {
    const { port, seen } = await site();
    const one = await published(mode, port);
    const page = await ask(one, 'GET /reports?year=2026&q="x"', BROWSER);
    const [, to] = /name="to" value="([^"]*)"/.exec(page.text)!;
    expect(to).toBe('/reports?year=2026&#38;q=&#34;x&#34;');
    const { status, header } = await submit(one, PIN, '/reports?year=2026&q="x"');
    expect([status, header('location')]).toEqual([303, '/reports?year=2026&q="x"']);
    const Cookie = header('set-cookie')!.split(';', 1)[0]!;
    expect((await ask(one, 'GET /reports', { Cookie: `theme=dark; ${Cookie}` })).text).toContain(
      'the secret site',
    );
    expect(seen.map(({ url, headers }) => [url, headers.cookie])).toEqual([['/reports', 'theme=dark']]);
    // Going back to the form works.
    expect((await ask(one, 'GET /__portal/pin', { Cookie })).header('location')).toBe('/');
  });

  it('accepts the PIN in a header from programs, and does not forward it', async () => {
    const { port, seen } = await site();
    const one = await published(mode, port);
    const refused = await ask(one, 'GET /');
    expect(refused.status).toBe(401);
    expect(refused.header('content-type')).toBe('text/plain; charset=utf-8');
    expect(refused.text).toContain('Send the PIN in the header `Portal-Pin`');
    expect((await ask(one, 'POST /api', { 'Portal-Pin': 'wrong' }, 'body')).status).toBe(401);
    expect((await ask(one, 'POST /api', { 'Portal-Pin': PIN }, 'body')).text).toContain('the secret site');
    expect(seen[0]!.headers).not.toHaveProperty('portal-pin');
  });

  it.each(['//evil.example', '/\\evil.example', 'https://evil.example', '/\r\nX: y', '/__portal/pin', ''])(
    'redirects to no other site: %j',
    async (to) => {
      const { port } = await site();
      const one = await published(mode, port);
      expect((await submit(one, PIN, to)).header('location')).toBe('/');
    },
  );

  it('slows guessing down, shows the waiting time, and counts attempts', async () => {
    const { port, seen } = await site();
    const one = await published(mode, port);
    for (let i = 0; i < 4; i++) expect((await submit(one, `guess ${i}`)).status).toBe(401);
    const fifth = await submit(one, 'guess 5');
    expect([fifth.status, fifth.header('retry-after')]).toEqual([429, '30']);
    expect(fifth.text).toContain('Try again in 30 seconds.');
    // Rejected even with the right PIN, and by either method.
    expect((await submit(one, PIN)).status).toBe(429);
    expect((await ask(one, 'GET /', { 'Portal-Pin': PIN })).status).toBe(429);
    expect(seen).toEqual([]);
    expect((await one.runner.status()).leases[0]!.refused).toEqual({ pin: 5 });
    expect(await one.event('refused')).toEqual({
      event: 'refused',
      service: 'app',
      reason: 'pin',
      remote: '127.0.0.1',
    });
  });

  it.each(['cross-site', 'same-site'])('reads no PIN that another site sends (%s)', async (from) => {
    const { port } = await site();
    const one = await published(mode, port);
    const sent = { 'Sec-Fetch-Site': from };
    for (let i = 0; i < 6; i++) expect((await submit(one, `guess ${i}`, '/', sent)).status).toBe(401);
    expect((await submit(one, PIN, '/', sent)).header('set-cookie')).toBeUndefined();
    expect((await submit(one, PIN, '/', { 'Sec-Fetch-Site': 'same-origin' })).status).toBe(303);
  });

  it.each(['https://evil.example', 'https://evil.localhost', 'null'])(
    'reads no PIN that an old browser sends from another site (%s)',
    async (Origin) => {
      const { port } = await site();
      const one = await published(mode, port);
      for (let i = 0; i < 6; i++) expect((await submit(one, `guess ${i}`, '/', { Origin })).status).toBe(401);
      expect((await submit(one, PIN, '/', { Origin })).header('set-cookie')).toBeUndefined();
      expect((await submit(one, PIN, '/', { Origin: `https://${HOST}` })).status).toBe(303);
    },
  );

  it('counts a wrong PIN that a program repeats once', async () => {
    const { port } = await site();
    const one = await published(mode, port);
    for (let i = 0; i < 8; i++)
      expect((await ask(one, 'GET /', { 'Portal-Pin': 'mistyped' })).status).toBe(401);
    expect((await ask(one, 'GET /', { 'Portal-Pin': PIN })).status).toBe(200);
  });

  it('logs every visitor out when the PIN changes, and no one when another setting does', async () => {
    const { port } = await site();
    const one = await published(mode, port);
    const cookie = await loggedIn(one);
    await one.change({ pin: PIN, allowIps: ['127.0.0.0/8'] });
    expect((await ask(one, 'GET /', cookie)).status).toBe(200);
    await one.change({ pin: 'another pin' });
    expect((await ask(one, 'GET /', cookie)).status).toBe(401);
    await one.change({ pin: PIN });
    expect((await ask(one, 'GET /', cookie)).status).toBe(200);
    await one.change({});
    expect((await ask(one, 'GET /')).status).toBe(200);
  });

  it('disconnects visitors when a PIN is added that they did not enter', async () => {
    const { port } = await httpService((_request, response) => response.write('begun'));
    const one = await published(mode, port, {});
    const socket = await visit(one.at, HOST, one.ca);
    socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await once(socket, 'data');
    const closed = once(
      socket.on('error', () => undefined),
      'close',
    ).catch((error: unknown) => [error]);
    await one.change({ pin: PIN });
    await closed;
    expect((await ask(one, 'GET /')).status).not.toBe(200);
  });

  it('also protects WebSockets and HTTP/2', async () => {
    const { port, seen } = await site();
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    onTestFinished(() => sockets.close());
    sockets.on('connection', (socket) => socket.send('hello'));
    await once(sockets, 'listening');
    const one = await published(mode, (sockets.address() as { port: number }).port);
    const open = (headers: object) => {
      const socket = new WebSocket(`wss://${HOST}:${one.at.port}`, {
        ca: one.ca.certificatePem,
        headers: { ...headers },
        lookup: (_host, options, done) =>
          (options as { all?: boolean }).all
            ? (done as Function)(null, [{ address: '127.0.0.1', family: 4 }])
            : done(null, '127.0.0.1', 4),
      });
      onTestFinished(() => socket.terminate());
      return socket;
    };
    const refused = open({});
    refused.on('error', () => undefined);
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).toBe(401);
    const cookie = await loggedIn(one);
    expect(String((await once(open(cookie), 'message'))[0])).toBe('hello');

    const other = await published(mode, port, { pin: PIN }, { alpn: 'auto' });
    const tls = await visit(other.at, HOST, other.ca, { ALPNProtocols: ['h2'] });
    const session = connectH2(`https://${HOST}`, { createConnection: () => tls });
    onTestFinished(() => session.destroy());
    const statusOf = async (headers: Record<string, string>): Promise<unknown> => {
      const request = session.request({ ':path': '/', ...headers });
      const [answer] = (await once(request, 'response')) as [Record<string, unknown>];
      request.resume();
      return answer[':status'];
    };
    expect(await statusOf({})).toBe(401);
    expect(await statusOf({ 'portal-pin': PIN })).toBe(200);
    expect(seen).toHaveLength(1);
  });
});

it('accepts a PIN in any script, from the form and from the header', async () => {
  const { port } = await site();
  const one = await published('http', port, { pin: 'žluťoučký kůň' });
  expect((await submit(one, 'žluťoučký kůň')).status).toBe(303);
  expect((await ask(one, 'GET /', { 'Portal-Pin': 'žluťoučký kůň' })).status).toBe(200);
});

it('checks the address first, and rejects others before it asks for the PIN', async () => {
  const { port } = await site();
  const one = await published('http', port, { pin: PIN, allowIps: ['192.0.2.1'] });
  expect((await ask(one, 'GET /', { 'Portal-Pin': PIN })).status).toBe(403);
});

it('rejects a malformed form: too long, or incomplete', async () => {
  const { port, seen } = await site();
  const one = await published('http', port);
  const long = `pin=${encodeURIComponent(PIN)}&to=${'x'.repeat(10_000)}`;
  expect((await ask(one, 'POST /__portal/pin', FORM, long)).status).toBe(401);
  const leaving = await visit(one.at, HOST, one.ca);
  leaving.write(`POST /__portal/pin HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 100\r\n\r\npin=`);
  leaving.destroy();
  expect((await ask(one, 'POST /__portal/pin', FORM, 'pin[]=%%%&to[]=x')).status).toBe(401);
  expect((await ask(one, 'POST /__portal/pin', FORM)).status).toBe(401);
  expect(seen).toEqual([]);
});
