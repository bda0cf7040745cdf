import { request as httpRequest, type OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { Recorders } from '../../src/agent/inspect/recorder.js';
import { startInspector, type InspectorServer } from '../../src/agent/inspect/server.js';
import { RequestStore } from '../../src/agent/inspect/store.js';
import type { LiveMessage, RequestDetails } from '../../src/agent/inspect/wire.js';
import { ask, edge, type Edge } from '../support/http-edge.js';
import { settled } from '../support/inspector.js';
import { log } from '../support/log.js';
import { agent, desired, get, httpService, relay, service, WEB_DIR } from '../support/world.js';

/** The inspector's access control, and the data that it returns. */

interface Asked {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

let store: RequestStore;
let recorders: Recorders;
let inspector: InspectorServer;
let port: number;
let token: string;
let at: Edge;

beforeEach(async () => {
  store = new RequestStore({ pageEveryMs: 5 });
  recorders = new Recorders(store);
  const target = await httpService((request, response) => {
    response.setHeader('Set-Cookie', 'id=s3cr3t; Path=/');
    request.pipe(response);
  });
  at = await edge({ '/': target.port }, { recorders });
  inspector = await startInspector({
    recorders,
    webDir: WEB_DIR,
    port: 0,
    snapshot: () => ({ leases: [], relays: [] }),
    log,
  });
  onTestFinished(() => inspector.close());
  const url = new URL(inspector.url);
  port = Number(url.port);
  token = url.hash.slice(1);
});

function call(
  path: string,
  method = 'GET',
  headers: OutgoingHttpHeaders = {},
  body?: string,
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const requested = httpRequest({
      host: '127.0.0.1',
      port,
      path,
      method,
      agent: false,
      headers: { host: `127.0.0.1:${port}`, ...headers },
    });
    requested.once('error', reject);
    requested.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    requested.end(body);
  });
}

const own = (): OutgoingHttpHeaders => ({
  authorization: `Bearer ${token}`,
  origin: `http://127.0.0.1:${port}`,
});

/** The status with which a WebSocket is rejected, or 101 if it is accepted. */
function live(headers: OutgoingHttpHeaders, protocols: string[]): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/live`, protocols, { headers });
  onTestFinished(() => socket.terminate());
  return new Promise((resolve) => {
    socket.on('error', () => undefined);
    socket.once('open', () => resolve(101));
    socket.once('unexpected-response', (_, response) => {
      resolve(response.statusCode!);
      socket.terminate();
    });
  });
}

interface Listening {
  readonly socket: WebSocket;
  readonly next: <T extends LiveMessage['type']>(
    type: T,
    match?: (message: Extract<LiveMessage, { type: T }>) => boolean,
  ) => Promise<Extract<LiveMessage, { type: T }>>;
}

function listen(): Listening {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/live`, ['portal-inspector', `token.${token}`], {
    origin: `http://127.0.0.1:${port}`,
  });
  onTestFinished(() => socket.terminate());
  const messages: LiveMessage[] = [];
  let wake: (() => void) | undefined;
  socket.on('message', (data: Buffer) => {
    messages.push(JSON.parse(data.toString()) as LiveMessage);
    wake?.();
  });
  return {
    socket,
    next: async (type, match = () => true) => {
      for (;;) {
        const message = messages.shift();
        if (message?.type === type && match(message as never)) return message as never;
        if (!message) await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

describe('access', () => {
  it('listens on the loopback only, with a URL that cannot be guessed', () => {
    expect(inspector.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#[\w-]{32}$/);
  });

  it.each([
    ['no token', {}, 401],
    ['a wrong token', { authorization: 'Bearer wrong' }, 401],
    ['a wrong token of the same length', { authorization: `Bearer ${'A'.repeat(32)}` }, 401],
    ['the name of a web page that leads here', { host: 'evil.example:4040' }, 421],
    ['the name without the port', { host: '127.0.0.1' }, 421],
  ])('%s: rejected', async (_what, headers, status) => {
    expect(await call('/api/requests/1', 'GET', headers)).toMatchObject({ status });
  });

  it('also responds to localhost', async () => {
    const headers = { ...own(), host: `localhost:${port}` };
    expect((await call('/', 'GET', headers)).status).toBe(200);
    expect((await call('/api/requests/1', 'GET', headers)).status).toBe(404);
  });

  it.each(['https://evil.example', 'null', undefined])('a POST from %s: rejected', async (origin) => {
    const headers = { ...own(), origin };
    if (origin === undefined) delete headers.origin;
    const { status } = await call('/api/clear', 'POST', headers);
    expect(status).toBe(403);
    expect((await call('/api/clear', 'POST', own())).status).toBe(200);
  });

  it('accepts a WebSocket only from its own page', async () => {
    const good = ['portal-inspector', `token.${token}`];
    const origin = `http://127.0.0.1:${port}`;
    expect(await live({ origin }, good)).toBe(101);
    expect(await live({ origin: 'https://evil.example' }, good)).toBe(403);
    expect(await live({}, good)).toBe(403);
    expect(await live({ origin, host: `evil.example:${port}` }, good)).toBe(421);
    expect(await live({ origin }, ['portal-inspector'])).toBe(401);
    expect(await live({ origin }, ['portal-inspector', 'token.wrong'])).toBe(401);
  });

  it('serves the page with headers that forbid loading, framing and caching, and no other file', async () => {
    const { status, headers, text } = await call('/');
    expect([status, text.includes('<div id="app">')]).toEqual([200, true]);
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    expect(headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
    expect(text).not.toContain(token);
    for (const path of ['/..%2fpackage.json', '/../package.json', '/index.html', '//x', '/assets/'])
      expect((await call(path)).status).toBe(404);
  });

  it('survives bytes that are not HTTP', async () => {
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('close', resolve).resume().end('nonsense\r\n\r\n'));
    expect((await call('/')).status).toBe(200);
  });
});

describe('its data', () => {
  const secret = { Authorization: 'Bearer s3cr3t', Cookie: 'sid=s3cr3t' };

  it('masks secrets, until the page requests those of one exchange', async () => {
    await ask(at, '/x', { headers: secret });
    await settled(store, 1);
    const masked = await call('/api/requests/1', 'GET', own());
    expect(masked.text).toContain('Bearer ••••••');
    expect(masked.text).not.toContain('s3cr3t');
    expect((await call('/api/requests/1/reveal', 'GET', own())).status).toBe(404);
    const revealed = await call('/api/requests/1/reveal', 'POST', own());
    const details = JSON.parse(revealed.text) as RequestDetails;
    expect(details.request.headers).toContainEqual({ name: 'Authorization', value: 'Bearer s3cr3t' });
    expect(details.revealed).toBe(true);
    expect((await call('/api/requests/1', 'GET', own())).text).not.toContain('s3cr3t');
  });

  it('returns bodies as bytes that a browser does not interpret', async () => {
    await ask(at, '/x', { method: 'POST', body: '<script>alert(1)</script>' });
    await settled(store, 1);
    const { headers, text } = await call('/api/requests/1/body?of=response', 'GET', own());
    expect(text).toBe('<script>alert(1)</script>');
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
    });
  });

  it('replays a request with the recorded values, not with the masked ones', async () => {
    await ask(at, '/x', { headers: secret });
    await settled(store, 1);
    const { text } = await call('/api/requests/1/replay', 'POST', own(), '{}');
    expect(JSON.parse(text)).toEqual({ id: 2 });
    expect((await settled(store, 2)).requestHeaders).toContain('Bearer s3cr3t');
  });

  it.each([
    ['{', 400],
    ['[]', 400],
    ['{"method":"GET /"}', 400],
    ['{"method":"CONNECT"}', 400],
    ['{"target":"no path"}', 400],
    ['{"target":"/a b"}', 400],
    ['{"headers":[{"name":"A","value":"x\\r\\nB: y"}]}', 400],
    ['{"headers":[{"name":"A B","value":"x"}]}', 400],
    [JSON.stringify({ body: 'A'.repeat(1024 * 1024) }), 413],
  ])('rejects an edited request that is not valid HTTP', async (edits, status) => {
    await ask(at, '/x');
    await settled(store, 1);
    expect((await call('/api/requests/1/replay', 'POST', own(), edits)).status).toBe(status);
    expect(store.size).toBe(1);
  });

  it('exports an archive of the requested exchanges, with secrets masked', async () => {
    await ask(at, '/a?x=1', { method: 'POST', body: 'text', headers: secret });
    await ask(at, '/b', { method: 'POST', body: Buffer.from([0xff, 0x00]) });
    await settled(store, 2);
    const { status, text } = await call('/api/har', 'POST', own(), '{"ids":[1,99,2]}');
    expect(status).toBe(200);
    expect(text).not.toContain('s3cr3t');
    const { log: archive } = JSON.parse(text) as { log: { version: string; entries: object[] } };
    expect(archive.version).toBe('1.2');
    expect(archive.entries).toMatchObject([
      {
        request: {
          method: 'POST',
          url: `https://${at.host}/a?x=1`,
          httpVersion: 'HTTP/1.1',
          queryString: [{ name: 'x', value: '1' }],
          postData: { text: 'text' },
          bodySize: 4,
        },
        response: { status: 200, content: { size: 4, text: 'text' } },
      },
      { response: { content: { size: 2, text: '/wA=', encoding: 'base64' } } },
    ]);
    const times = archive.entries.map((entry) => entry as { time: number; timings: Record<string, number> });
    for (const { time, timings } of times) {
      const { send, wait, receive } = timings;
      expect(Math.min(send!, wait!, receive!)).toBeGreaterThanOrEqual(0);
      expect(send! + wait! + receive!).toBeCloseTo(time);
    }
    expect((await call('/api/har', 'POST', own(), '{"ids":["x"]}')).status).toBe(400);
  });

  it('sends existing and new exchanges to a page in a few messages', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => ask(at, `/before/${i}`)));
    const { next } = listen();
    const first = await next('requests');
    expect(first).toMatchObject({ reset: true, oldest: 1, dropped: 0 });
    expect(first.rows).toHaveLength(20);
    expect(JSON.stringify(first)).not.toContain('s3cr3t');
    await ask(at, '/after');
    const more = await next('requests', ({ rows }) => rows.some(({ outcome }) => outcome === 'done'));
    expect(more.reset).toBeUndefined();
    expect(more.rows.map(({ target }) => target)).toEqual(['/after']);
    await call('/api/clear', 'POST', own());
    expect(await next('requests', ({ reset }) => reset === true)).toMatchObject({ rows: [] });
  });

  it('ends with its pages', async () => {
    const { socket, next } = listen();
    await next('requests');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await inspector.close();
    expect(await closed).toBe(1001);
  });
});

it('uses another port if its own is in use, and reports it', async () => {
  const options = { recorders, webDir: WEB_DIR, port, snapshot: () => ({ leases: [], relays: [] }), log };
  const second = await startInspector(options);
  onTestFinished(() => second.close());
  expect(second.askedPort).toBe(port);
  expect(new URL(second.url).port).not.toBe(String(port));
});

it('runs while a service is inspected', async () => {
  const target = await httpService((_, response) => response.end('ok'));
  const one = await relay();
  const { runner, event, events, ca } = await agent({ inspector: true });
  const http = service('app', target.port, { mode: 'http', alpn: ['http/1.1'] });
  const routes = [
    { prefix: '/', target: http.target, stripPrefix: true, headers: {}, responseHeaders: {} },
  ] as const;
  const plain = { ...http, routes };
  await runner.apply(desired([one.spec], plain));
  expect((await runner.status()).inspector).toBeUndefined();

  const inspect = { mask: [] };
  await runner.apply(desired([one.spec], { ...plain, inspect }));
  const { url } = await event('inspector');
  expect((await runner.status()).inspector).toBe(url);
  expect(events.findLast((each) => each.event === 'applied')).toMatchObject({ updated: ['app'], opened: [] });
  await get(one, 'app.localhost', ca, '/seen');

  port = Number(new URL(url).port);
  token = new URL(url).hash.slice(1);
  const details = await call('/api/requests/1', 'GET', own());
  expect(JSON.parse(details.text)).toMatchObject({ service: 'app', target: '/seen', remote: '127.0.0.1' });

  await runner.apply(desired([one.spec], plain));
  await expect.poll(() => call('/').catch((error: NodeJS.ErrnoException) => error.code)).toBe('ECONNREFUSED');
});
