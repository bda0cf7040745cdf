import { once } from 'node:events';
import { createServer as createHttp, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { parseTarget } from '../../src/net/target/target.js';
import { eventually } from '../support/eventually.js';
import { agent, desired, get, relay, service, tcpService, visit } from '../support/world.js';
import { udpService, udpVisitor } from '../support/udp.js';

/** What happens to connected visitors when the target or the mode is edited. */

interface Site {
  readonly port: number;
  /** Responses to /wait and /download, which the test continues. */
  readonly waiting: ServerResponse[];
  /** Requests that the site received. */
  requests: number;
}

/** A site that responds with its name, accepts WebSockets, and has long responses. */
async function site(name: string): Promise<Site> {
  const waiting: ServerResponse[] = [];
  const server = createHttp((request, response) => {
    made.requests++;
    if (request.url === '/') {
      response.end(name);
      return;
    }
    if (request.url === '/download') response.writeHead(200, { 'content-length': 20 }).write('0123456789');
    if (request.url === '/chunks') response.write('0123456789');
    if (request.url === '/events')
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
    waiting.push(response);
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('message', (text: Buffer) => socket.send(`${name}: ${text.toString()}`));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    server.close();
  });
  const made = { port: (server.address() as AddressInfo).port, waiting, requests: 0 };
  return made;
}

async function published(target: number, over: Partial<ServiceSpec> = {}) {
  const at = await relay({ ports: { tcp: 'any', udp: 'any' } });
  const one = await agent();
  let spec = service('web', target, over);
  await one.runner.apply(desired([at.spec], spec));
  const { tcpAddr, udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  return {
    at,
    ...one,
    publicPort: Number((tcpAddr ?? udpAddr ?? ':0').split(':')[1]),
    visit: (...alpn: string[]) => visit(at, 'web.localhost', one.ca, { ALPNProtocols: alpn }),
    get: async () => (await get(at, 'web.localhost', one.ca)).text,
    /** Applies `changes`. Resolves with the resulting event. */
    edit: async (changes: Partial<ServiceSpec>) => {
      const from = one.events.length;
      spec = { ...spec, ...changes };
      await one.runner.apply(desired([at.spec], spec));
      return one.event('applied', () => true, from);
    },
    status: async () => (await one.runner.status()).leases[0]!,
  };
}

const tcpEcho = (name: string): Promise<number> =>
  tcpService((socket) => socket.on('data', (chunk) => socket.write(`${name} ${chunk.toString()}`)));

/** An echo that also responds to HTTP requests. */
const tcpEchoAndHttp = (name: string): Promise<number> =>
  tcpService((socket) =>
    socket.on('data', (chunk) => {
      const text = chunk.toString();
      socket.write(text.startsWith('GET ') ? 'HTTP/1.1 204 No Content\r\n\r\n' : `${name} ${text}`);
    }),
  );

const udpEcho = (name: string) => udpService((payload) => Buffer.from(`${name} ${payload.toString()}`));

/** A visitor who keeps its connection: the bytes since its last request, and how the connection ended. */
function keeping(socket: Socket) {
  let received = '';
  let ended: string | undefined;
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.once('end', () => (ended ??= 'end'));
  socket.once('close', () => (ended ??= 'cut'));
  return {
    ask: (path: string) => {
      received = '';
      socket.write(`GET ${path} HTTP/1.1\r\nHost: web.localhost\r\n\r\n`);
    },
    received: (text: string) => eventually(() => expect(received).toContain(text)),
    ended: () => eventually(() => expect(ended).toBeDefined()).then(() => ended),
    get isOpen() {
      return ended === undefined;
    },
  };
}

/**
 * A visitor who sends a request with the last byte of each response, until a response announces the end of the
 * connection.
 */
function hammering(socket: Socket) {
  let [received, requested, answers] = ['', 0, 0];
  const ask = (): void => {
    requested++;
    socket.write('GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n');
  };
  const ended = new Promise<string>((resolve) => {
    socket.on('error', () => resolve('cut'));
    socket.once('end', () => resolve(requested === answers ? 'end' : `end after ${received}`));
  });
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    if (!/\r\n\r\n\w+$/.test(received)) return;
    answers++;
    if (!/\r\nconnection: close\r\n/i.test(received)) ask();
    received = '';
  });
  ask();
  return {
    ended,
    get answers() {
      return answers;
    },
  };
}

async function webSocket(at: { port: number }, socket: TLSSocket): Promise<WebSocket> {
  const ws = new WebSocket(`ws://web.localhost:${at.port}/`, { createConnection: () => socket });
  onTestFinished(() => ws.terminate());
  ws.on('error', () => undefined);
  await once(ws, 'open');
  return ws;
}

async function says(ws: WebSocket, text: string): Promise<string> {
  ws.send(text);
  return String((await once(ws, 'message'))[0]);
}

describe('an edited target, in mode stream', () => {
  it('ends kept-alive connections in order between exchanges, and none during one', async () => {
    const [old, next] = [await site('old'), await site('next')];
    const { visit: connect, get: fetch, edit, status } = await published(old.port, { retireMs: 60_000 });
    const idle = keeping(await connect('http/1.1'));
    const silent = keeping(await connect('http/1.1'));
    const polling = keeping(await connect('http/1.1'));
    const downloading = keeping(await connect('http/1.1'));
    const chunks = keeping(await connect('http/1.1'));
    idle.ask('/');
    await idle.received('old');
    polling.ask('/poll');
    downloading.ask('/download');
    await downloading.received('0123456789');
    chunks.ask('/chunks');
    await chunks.received('0123456789');
    await eventually(() => expect(old.waiting.length).toBe(3));
    const { retiring } = await edit({ target: parseTarget(next.port) });
    expect(retiring).toEqual({ web: 5 });
    expect(await fetch()).toContain('next');
    expect(await idle.ended()).toBe('end');
    expect(await silent.ended()).toBe('end');
    expect([polling, downloading, chunks].map(({ isOpen }) => isOpen)).toEqual([true, true, true]);
    await eventually(async () => expect(await status()).toMatchObject({ retiring: 3 }));
    for (const response of old.waiting) response.end('9876543210');
    for (const each of [polling, downloading, chunks]) {
      await each.received('9876543210');
      expect(await each.ended()).toBe('end');
    }
    await eventually(async () => expect(await status()).not.toHaveProperty('retiring'));
  });

  it.each([
    ['that agreed on http/1.1', ['http/1.1']],
    ['whose first line is HTTP', []],
  ])(
    'ends a connection %s and never pauses by announcing it in a response, without losing a request',
    async (_, alpn) => {
      const [old, next] = [await site('old'), await site('next')];
      const { visit: connect, get: fetch, edit, status } = await published(old.port);
      const visitors = [hammering(await connect(...alpn)), hammering(await connect(...alpn))];
      await eventually(() => expect(visitors.every(({ answers }) => answers > 10)).toBe(true));
      expect((await edit({ target: parseTarget(next.port) })).retiring).toEqual({ web: 2 });
      expect(await Promise.all(visitors.map(({ ended }) => ended))).toEqual(['end', 'end']);
      expect(visitors[0]!.answers + visitors[1]!.answers).toBe(old.requests);
      expect(await fetch()).toContain('next');
      await eventually(async () => expect(await status()).not.toHaveProperty('retiring'));
    },
  );

  it('ends an event stream once it pauses, and its visitor reconnects', async () => {
    const [old, next] = [await site('old'), await site('next')];
    const { visit: connect, edit } = await published(old.port);
    const visitor = keeping(await connect('http/1.1'));
    visitor.ask('/events');
    await visitor.received('data: 1');
    await edit({ target: parseTarget(next.port) });
    expect(await visitor.ended()).toBe('end');
  });

  it('keeps upgraded connections and unknown protocols for `retireMs`, and no longer', async () => {
    const [old, next] = [await site('old'), await site('next')];
    const { at, visit: connect, edit } = await published(old.port, { alpn: ['http/1.1', 'chat'] });
    const idle = keeping(await connect('http/1.1'));
    const ws = await webSocket(at, await connect('http/1.1'));
    const closed = once(ws, 'close');
    expect(await says(ws, 'one')).toBe('old: one');
    const chat = keeping(await connect('chat'));
    chat.ask('/');
    await chat.received('old');
    await edit({ target: parseTarget(next.port) });
    expect(await idle.ended()).toBe('end');
    expect(await says(ws, 'two')).toBe('old: two');
    chat.ask('/');
    await chat.received('old');
    await edit({ retireMs: 0 });
    await closed;
    expect(await chat.ended()).toBe('cut');
  });

  it('keeps a visitor that agreed on http/1.1 and speaks another protocol for `retireMs`', async () => {
    const [old, next] = [await tcpEchoAndHttp('old'), await tcpEchoAndHttp('next')];
    const { visit: connect, edit } = await published(old, { alpn: ['http/1.1'] });
    const socket = await connect('http/1.1');
    const chat = keeping(socket);
    socket.write('one');
    await chat.received('old one');
    // Its first quiet moment begins after that of the chat.
    const http = keeping(await connect('http/1.1'));
    http.ask('/');
    await http.received('204');
    await edit({ target: parseTarget(next) });
    expect(await http.ended()).toBe('end');
    socket.write('two');
    await chat.received('old two');
    await edit({ retireMs: 0 });
    expect(await chat.ended()).toBe('cut');
  });

  it('ends HTTP/2 once no stream is open', async () => {
    const streams: ServerHttp2Stream[] = [];
    const server = createHttp2().on('stream', (stream, headers) => {
      stream.respond({ ':status': 200 });
      if (headers[':path'] === '/') return void stream.end('old');
      stream.write('begins ');
      return void streams.push(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const next = await site('next');
    const { visit: connect, edit } = await published((server.address() as AddressInfo).port, {
      alpn: ['h2', 'http/1.1'],
    });
    const over = async () => {
      const socket = await connect('h2');
      const session = connectHttp2('https://web.localhost', { createConnection: () => socket });
      session.on('error', () => undefined);
      onTestFinished(() => session.destroy());
      const fetch = async (path: string): Promise<string> => {
        let text = '';
        const stream = session.request({ ':path': path });
        for await (const chunk of stream) text += String(chunk);
        return text;
      };
      const isClosed = new Promise((resolve) => socket.once('close', resolve));
      return { fetch, isClosed, session };
    };
    const [idle, busy] = [await over(), await over()];
    expect(await idle.fetch('/')).toBe('old');
    const long = busy.fetch('/long');
    expect(await busy.fetch('/')).toBe('old');
    await eventually(() => expect(streams.length).toBe(1));
    await edit({ target: parseTarget(next.port) });
    await idle.isClosed;
    expect(busy.session.closed).toBe(false);
    streams[0]!.end('ends');
    expect(await long).toBe('begins ends');
    await busy.isClosed;
  });
});

describe('an edit of the mode', () => {
  it('from stream to http retires the connections of mode stream', async () => {
    const [old, next] = [await site('old'), await site('next')];
    const { visit: connect, get: fetch, edit, status } = await published(old.port);
    const [idle, downloading] = [keeping(await connect('http/1.1')), keeping(await connect('http/1.1'))];
    idle.ask('/');
    await idle.received('old');
    downloading.ask('/download');
    await downloading.received('0123456789');
    const { retiring } = await edit({ mode: 'http', target: parseTarget(next.port), alpn: 'auto' });
    expect(retiring).toEqual({ web: 2 });
    expect(await fetch()).toContain('next');
    expect(await idle.ended()).toBe('end');
    expect(downloading.isOpen).toBe(true);
    old.waiting[0]!.end('9876543210');
    await downloading.received('9876543210');
    expect(await downloading.ended()).toBe('end');
    await eventually(async () => expect(await status()).not.toHaveProperty('retiring'));
  });

  it('from http to stream ends connections after their active requests', async () => {
    const [old, next] = [await site('old'), await site('next')];
    const { at, visit: connect, edit } = await published(old.port, { mode: 'http' });
    const [idle, downloading] = [keeping(await connect('http/1.1')), keeping(await connect('http/1.1'))];
    idle.ask('/');
    await idle.received('old');
    downloading.ask('/download');
    await downloading.received('0123456789');
    const ws = await webSocket(at, await connect('http/1.1'));
    const closed = once(ws, 'close');
    const h2 = await connect('h2');
    const session = connectHttp2('https://web.localhost', { createConnection: () => h2 });
    onTestFinished(() => session.destroy());
    await once(session, 'remoteSettings');
    const goaway = once(session, 'goaway');
    const changes = { mode: 'stream', target: parseTarget(next.port), alpn: ['http/1.1'] } as const;
    await edit({ ...changes, retireMs: 2_000 });
    await goaway;
    await idle.ended();
    expect(downloading.isOpen).toBe(true);
    old.waiting[0]!.end('9876543210');
    await downloading.received('9876543210');
    await downloading.ended();
    await closed;
  });
});

it('an edited route, in mode http, ends event streams of the old target, and their clients reconnect', async () => {
  const [old, next] = [await site('old'), await site('next')];
  const { visit: connect, edit, status } = await published(old.port, { mode: 'http' });
  const [listening, downloading] = [keeping(await connect('http/1.1')), keeping(await connect('http/1.1'))];
  listening.ask('/events');
  await listening.received('data: 1');
  downloading.ask('/download');
  await downloading.received('0123456789');
  expect((await edit({ target: parseTarget(next.port) })).retiring).toMatchObject({ web: 1 });
  // The last chunk.
  await listening.received('0\r\n\r\n');
  listening.ask('/');
  await listening.received('next');
  await eventually(async () => expect(await status()).toMatchObject({ retiring: 1 }));
  old.waiting[1]!.end('9876543210');
  await downloading.received('9876543210');
  expect(downloading.isOpen).toBe(true);
  await eventually(async () => expect(await status()).not.toHaveProperty('retiring'));
});

it('an edited route, in mode http, keeps WebSockets on the old target for `retireMs`', async () => {
  const [old, next] = [await site('old'), await site('next')];
  const { at, visit: connect, get: fetch, edit, status } = await published(old.port, { mode: 'http' });
  const ws = await webSocket(at, await connect('http/1.1'));
  const closed = once(ws, 'close');
  const h2 = await connect('h2');
  const session = connectHttp2('https://web.localhost', { createConnection: () => h2 });
  onTestFinished(() => session.destroy());
  await once(session, 'remoteSettings');
  const overH2 = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':path': '/',
    'sec-websocket-version': '13',
  });
  // The stream ends with an error, which makes `once` reject.
  overH2.on('error', () => undefined);
  const closedOverH2 = new Promise((resolve) => overH2.once('close', resolve));
  await once(overH2, 'response');
  expect((await edit({ target: parseTarget(next.port) })).retiring).toEqual({ web: 2 });
  expect(await fetch()).toContain('next');
  expect(await says(ws, 'still')).toBe('old: still');
  expect(await status()).toMatchObject({ retiring: 2 });
  await edit({ retireMs: 0 });
  await Promise.all([closed, closedOverH2]);
  expect(session.closed).toBe(false);
});

it('an edited target, in mode tcp, keeps connections for `retireMs`', async () => {
  const [old, next] = [await tcpEcho('old'), await tcpEcho('next')];
  const { publicPort, edit } = await published(old, { mode: 'tcp', carrier: 'tls' });
  const { connect } = await import('node:net');
  const open = () => {
    const socket = connect({ port: publicPort, host: '127.0.0.1', allowHalfOpen: true });
    onTestFinished(() => void socket.destroy());
    return { say: (text: string) => socket.write(text), ...keeping(socket) };
  };
  const first = open();
  first.say('one');
  await first.received('old one');
  expect((await edit({ target: parseTarget(next) })).retiring).toEqual({ web: 1 });
  const second = open();
  second.say('two');
  await second.received('next two');
  first.say('three');
  await first.received('old three');
  await edit({ retireMs: 0 });
  expect(await first.ended()).toBe('cut');
});

it('an edited target, in mode udp, keeps flows for `retireMs`; later datagrams start a flow to the new target', async () => {
  const [old, next] = [await udpEcho('old'), await udpEcho('next')];
  const { publicPort, edit, status } = await published(old.port, { mode: 'udp' });
  const [visitor, other] = [await udpVisitor(publicPort), await udpVisitor(publicPort)];
  expect(await visitor.ask('one')).toBe('old one');
  expect((await edit({ target: parseTarget(next.port) })).retiring).toEqual({ web: 1 });
  expect(await other.ask('two')).toBe('next two');
  expect(await visitor.ask('three')).toBe('old three');
  await edit({ retireMs: 0 });
  await eventually(async () => expect(await visitor.ask('four')).toBe('next four'));
  expect(await status()).not.toHaveProperty('retiring');
});
