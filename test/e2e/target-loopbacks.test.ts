import { createServer as createHttp } from 'node:http';
import { createServer as createH2 } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { connect, createServer as createTcp, type Server, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { freePort } from '../support/ports.js';
import { checkHealth } from '../../src/agent/target/health-check.js';
import { checkTarget } from '../../src/agent/target/target-check.js';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { eventually } from '../support/eventually.js';
import { httpSpec } from '../support/http-edge.js';
import { hasIpv6, NO_IPV6 } from '../support/ipv6.js';
import { LOOPBACKS, serveOn, type Loopback } from '../support/loopbacks.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { agent, desired, readAll, relay, service, temporaryFolder, visit } from '../support/world.js';

/** A service on one of the two loopback addresses, behind a target that is a bare port, in every mode. */

type Ask = () => Promise<string>;

interface Kind {
  readonly name: string;
  readonly target?: (port: number) => string;
  readonly serve: () => Server | Promise<Server>;
  readonly unit?: 'session';
  readonly spec: (target: string | number) => ServiceSpec;
  readonly ask: (where: Where) => Ask;
}

interface Where {
  readonly at: { readonly port: number };
  readonly tcpPort: number;
  readonly ca: Awaited<ReturnType<typeof agent>>['ca'];
}

/** One CA for the file, because creating keys is slow. */
let pair: Promise<{ cert: string; key: string }> | undefined;
const certificate = () =>
  (pair ??= temporaryFolder()
    .then(openLocalCa)
    .then((ca) => ca.issue(['localhost'])));

const httpServer = (): Server =>
  createHttp((request, response) => {
    request.resume().once('end', () => response.end(request.socket.localAddress));
  });

/** The body of one response. Throws if it is missing, or not 200. */
const httpAsk =
  (request: string) =>
  ({ at, ca }: Where): Ask =>
  async () => {
    const socket = await visit(at, 'app.localhost', ca);
    socket.write(
      `${request}\r\nHost: app.localhost\r\nConnection: close\r\n${request.startsWith('POST') ? 'Content-Length: 2\r\n\r\nhi' : '\r\n'}`,
    );
    const text = (await readAll(socket)).toString();
    if (!text.startsWith('HTTP/1.1 200')) throw new Error(text.split('\r\n', 1)[0]);
    return /(127\.0\.0\.1|::1)\s/.exec(`${text}\n`)![1]!;
  };

function webSocketServer(): Server {
  const server = createHttp();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => socket.send(request.socket.localAddress!));
  return server;
}

const webSocketAsk =
  ({ at, ca }: Where): Ask =>
  async () => {
    const sni: object = { servername: 'app.localhost' };
    const socket = new WebSocket(`wss://127.0.0.1:${at.port}/`, {
      ca: ca.certificatePem,
      ...sni,
      headers: { host: 'app.localhost' },
    });
    onTestFinished(() => socket.terminate());
    return new Promise((resolve, reject) => {
      socket.once('message', (data: Buffer) => resolve(data.toString()));
      socket.once('error', reject);
    });
  };

const tcpAsk =
  ({ tcpPort }: Where): Ask =>
  async () => {
    const socket: Socket = connect(tcpPort, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    const text = (await readAll(socket)).toString();
    if (text === '') throw new Error('nothing');
    return text;
  };

const routes = (target: string | number): ServiceSpec => httpSpec('app', { '/': target });
const KINDS: readonly Kind[] = [
  {
    name: 'mode stream',
    serve: httpServer,
    spec: (target) => service('app', target),
    ask: httpAsk('GET / HTTP/1.1'),
  },
  {
    name: 'mode stream to an https:// target',
    target: (port) => `https://localhost:${port}`,
    serve: async () =>
      createHttps(
        await certificate(),
        (request, response) => void response.end(request.socket.localAddress!),
      ),
    spec: (target) => service('app', target),
    ask: httpAsk('GET / HTTP/1.1'),
  },
  { name: 'mode http', serve: httpServer, spec: routes, ask: httpAsk('GET / HTTP/1.1') },
  { name: 'mode http with a body', serve: httpServer, spec: routes, ask: httpAsk('POST / HTTP/1.1') },
  {
    name: 'mode http to a server of HTTP/2 only',
    serve: () => createH2((request, response) => void response.end(`${request.socket.localAddress}`)),
    unit: 'session',
    spec: routes,
    ask: httpAsk('GET / HTTP/1.1'),
  },
  { name: 'a WebSocket', serve: webSocketServer, spec: routes, ask: webSocketAsk },
  {
    name: 'mode tcp',
    serve: () => createTcp((socket) => socket.on('error', () => undefined).end(socket.localAddress!)),
    spec: (target) => service('app', target, { mode: 'tcp' }),
    ask: tcpAsk,
  },
];

async function published(kind: Kind, port: number) {
  const at = await relay({ ports: { tcp: 'any' } });
  const one = await agent();
  const spec = kind.spec(kind.target?.(port) ?? port);
  await one.runner.apply(desired([at.spec], spec));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const ask = kind.ask({ at, ca: one.ca, tcpPort: Number(tcpAddr?.split(':')[1]) });
  return { ...one, ask, spec };
}

describe.each(KINDS)('$name', (kind) => {
  it.for(LOOPBACKS)('finds a service on %s', async (host, { skip }) => {
    if (host === '::1' && !hasIpv6) skip(NO_IPV6);
    const port = await freePort();
    await serveOn(host, port, kind.serve, kind.unit);
    const { ask, runner, spec } = await published(kind, port);
    expect(await ask()).toBe(host);
    expect((await runner.status()).leases[0]).not.toHaveProperty('targetError');
    const { signal } = new AbortController();
    for (const wasDown of [true, false])
      expect(await checkTarget(spec, spec.target, { wasDown, signal })).toMatchObject({ error: undefined });
  });

  it('follows a service that moves while visitors come', async ({ skip }) => {
    if (!hasIpv6) skip(NO_IPV6);
    const port = await freePort();
    let running = await serveOn('127.0.0.1', port, kind.serve, kind.unit);
    const { ask, runner } = await published(kind, port);
    expect(await ask()).toBe('127.0.0.1');
    const over = new AbortController();
    onTestFinished(() => over.abort());
    const answers: string[] = [];
    const visitors = Array.from({ length: 4 }, async () => {
      while (!over.signal.aborted) answers.push(await ask().catch(() => 'down'));
    });
    for (const host of ['::1', '127.0.0.1'] satisfies Loopback[]) {
      await running.close();
      await eventually(() => expect(answers.slice(-4)).toContain('down'));
      running = await serveOn(host, port, kind.serve, kind.unit);
      // Only the first request may notice a stale kept-alive connection.
      await eventually(async () => expect(await ask()).toBe(host));
      for (let i = 0; i < 3; i++) expect(await ask()).toBe(host);
    }
    over.abort();
    await Promise.all(visitors);
    await running.close();
    await expect(ask().catch(() => 'down')).resolves.toBe('down');
    expect((await runner.status()).leases[0]!.targetError).toBe(
      `nothing listens on port ${port} (tried 127.0.0.1 and ::1)`,
    );
  }, 60_000);
});

describe('mode udp', () => {
  it.for(LOOPBACKS)('finds a service on %s', async (host, { skip }) => {
    if (host === '::1' && !hasIpv6) skip(NO_IPV6);
    const echo = await udpService(undefined, await freePort(), host);
    const { port } = await datagrams(echo.port);
    expect(await (await udpVisitor(port)).ask('hello')).toBe('hello');
    expect(echo.peers.size).toBe(1);
  });

  it('follows a service that moves, for existing and new visitors', async ({ skip }) => {
    if (!hasIpv6) skip(NO_IPV6);
    let echo = await udpService(undefined, await freePort());
    const { port, runner } = await datagrams(echo.port);
    const early = await udpVisitor(port);
    expect(await early.ask('one')).toBe('one');
    for (const host of ['::1', '127.0.0.1', '::1'] as const) {
      await echo.close();
      echo = await udpService((payload) => Buffer.from(`${host} ${payload.toString()}`), echo.port, host);
      expect(await early.ask('two')).toBe(`${host} two`);
      expect(await (await udpVisitor(port)).ask('three')).toBe(`${host} three`);
    }
    expect((await runner.status()).leases[0]).not.toHaveProperty('targetError');
  });
});

async function datagrams(target: number) {
  const at = await relay({ ports: { udp: 'any' } });
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('echo', target, { mode: 'udp' })));
  const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  return { ...one, port: Number(udpAddr!.split(':')[1]) };
}

it.for(LOOPBACKS)('a health check finds a service on %s', async (host, { skip }) => {
  if (host === '::1' && !hasIpv6) skip(NO_IPV6);
  const port = await freePort();
  const running = await serveOn(host, port, httpServer);
  const health = { path: '/', intervalMs: 1_000, timeoutMs: 5_000 };
  const { signal } = new AbortController();
  const check = () => checkHealth(service('app', port, { health }), signal);
  expect(await check()).toBeUndefined();
  await running.close();
  const tried = hasIpv6 ? '127.0.0.1 and ::1' : '127.0.0.1';
  expect(await check()).toBe(`nothing listens on port ${port} (tried ${tried})`);
});
