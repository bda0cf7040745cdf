import { EventEmitter, once } from 'node:events';
import { createServer as createH2, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { askH2, connectTo, edge, h2Visitor, HOST, raw, rawTarget, type Edge } from '../support/http-edge.js';
import { wire } from '../support/wire.js';
import { httpService } from '../support/world.js';

/** Requests and responses that no well-behaved client or target sends. They may fail, but must not affect others. */

const HEAD = `Host: ${HOST}\r\nConnection: close\r\n`;
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n';
const WEBSOCKET = `${SWITCHED}Upgrade: websocket\r\n`;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;

/** A target that speaks only HTTP/2 without TLS. */
async function h2cTarget(onStream: (stream: ServerHttp2Stream, path: string) => void): Promise<number> {
  const server = createH2();
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    onStream(stream, headers[':path'] ?? '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const h1Target = async (listener: RequestListener): Promise<number> => (await httpService(listener)).port;

/** Requests a WebSocket over HTTP/2. Resolves with the status. */
async function webSocketOverH2(at: Edge, headers: Record<string, string> = {}): Promise<unknown> {
  const session = await h2Visitor(at);
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':path': '/',
      ':authority': at.host,
      ...headers,
    },
    { endStream: false },
  );
  return new Promise((resolve, reject) => {
    stream.once('response', (answer) => resolve(answer[':status']));
    stream.once('error', reject);
  });
}

/** Everything received until `pattern` matches. */
async function saying(at: Edge, words: string, pattern: RegExp): Promise<string> {
  const socket = await connectTo(at);
  let received = '';
  const matched = new Promise<void>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      if (pattern.test(received)) resolve();
    });
    socket.once('close', () => reject(new Error(`closed after: ${received}`)));
  });
  socket.write(words);
  await matched;
  return received;
}

describe('a switch of protocols', () => {
  it('over HTTP/2 may contain a key, which HTTP/2 does not need', async () => {
    const { port, received } = await rawTarget(`${WEBSOCKET}Sec-WebSocket-Accept: x\r\n\r\n`);
    const key = 'dGhlIHNhbXBsZSBub25jZQ==';
    expect(await webSocketOverH2(await edge({ '/': port }), { 'sec-websocket-key': key })).toBe(200);
    // One key, the agent's.
    expect(received[0]!.match(/sec-websocket-key: /gi)).toHaveLength(1);
    expect(received[0]).not.toContain(key);
  });

  it('with a response that HTTP/2 cannot express is a bad gateway', async () => {
    const { port } = await rawTarget(`${WEBSOCKET}ETag: 1\r\nETag: 2\r\n\r\n`);
    expect(await webSocketOverH2(await edge({ '/': port }))).toBe(502);
  });

  it('to another protocol gets a response as such, and does not become a WebSocket', async () => {
    const { port, received } = await rawTarget(`${SWITCHED}Upgrade: tcp\r\n\r\nhello`);
    const words = `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`;
    const answer = await saying(await edge({ '/': port }), words, /hello/);
    expect(answer).toMatch(/^HTTP\/1.1 101 .*\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello$/s);
    expect(received[0]).not.toMatch(/sec-websocket/i);
  });
});

describe('removes the announcement of trailers that cannot follow', () => {
  it('for the target of a request with a length', async () => {
    const { port, received } = await rawTarget(OK);
    const request = `POST / HTTP/1.1\r\n${HEAD}Trailer: X\r\nContent-Length: 3\r\n\r\nabc`;
    expect(await raw(await edge({ '/': port }), request)).toMatch(/^HTTP\/1.1 200 /);
    expect(received[0]).toMatch(/\r\n\r\nabc$/);
    expect(received[0]).not.toMatch(/trailer/i);
  });

  it('for the target of a WebSocket', async () => {
    const { port } = await rawTarget(`${WEBSOCKET}\r\n`);
    const words = `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTrailer: X\r\nSec-WebSocket-Key: a\r\n\r\n`;
    expect(await saying(await edge({ '/': port }), words, /\r\n\r\n/)).toMatch(/^HTTP\/1.1 101 /);
  });

  it('for a visitor of HTTP/1.0, and for a response with a length', async () => {
    const trailing = await h1Target((_request, response) => {
      response.setHeader('Trailer', 'X-End');
      response.write('hello');
      response.addTrailers({ 'X-End': '1' });
      response.end();
    });
    expect(await raw(await edge({ '/': trailing }), `GET / HTTP/1.0\r\n${HEAD}\r\n`)).toMatch(
      /^HTTP\/1.1 200 .*\r\n\r\nhello$/s,
    );
    const { port } = await rawTarget('HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nok');
    expect(await raw(await edge({ '/': port }), `GET / HTTP/1.1\r\n${HEAD}\r\n`)).toMatch(
      /^HTTP\/1.1 200 .*\r\n\r\nok$/s,
    );
  });
});

it('trailers that HTTP/2 cannot express end only their request', async () => {
  const port = await h2cTarget((stream) => {
    stream.resume();
    stream.once('end', () => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
  });
  const at = await edge({ '/': port });
  // From here on it is known to speak only HTTP/2.
  expect(await raw(at, `GET / HTTP/1.1\r\n${HEAD}\r\n`)).toMatch(/^HTTP\/1.1 200 /);
  const body = '3\r\nabc\r\n0\r\nETag: 1\r\nETag: 2\r\n\r\n';
  const request = `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n${body}`;
  expect(await raw(at, request)).toMatch(/^HTTP\/1.1 502 /);
  expect(await raw(at, `GET / HTTP/1.1\r\n${HEAD}\r\n`)).toMatch(/^HTTP\/1.1 200 /);
});

describe('timeouts', () => {
  it('the timeout for a response does not start while the body still arrives, however slowly', async () => {
    let bytes = 0;
    const port = await h1Target((request, response) => {
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => response.end(String(bytes)));
    });
    const responseMs = 1_000;
    const at = await edge({ '/': port }, { bounds: { responseMs } });
    const socket = await connectTo(at);
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 8\r\n\r\n`);
    let sent = 0;
    await new Promise<void>((resolve) => {
      const trickle = setInterval(() => {
        socket.write('x');
        if (++sent < 8) return;
        clearInterval(trickle);
        resolve();
      }, responseMs / 4);
    });
    await closed;
    expect(received).toMatch(/^HTTP\/1.1 200 .*\r\n\r\n8$/s);
  });

  it('an idle HTTP/2 connection times out, even after a stream that was quiet for longer', async () => {
    let finish: (() => void) | undefined;
    const port = await h1Target((_request, response) => {
      response.write('a');
      finish = () => response.end('b');
    });
    const keepAliveMs = 400;
    const session = await h2Visitor(await edge({ '/': port }, { bounds: { keepAliveMs } }));
    const closed = new Promise((resolve) => session.once('close', resolve));
    const stream = session.request({ ':path': '/', ':authority': HOST });
    let body = '';
    stream.on('data', (chunk: Buffer) => (body += chunk.toString()));
    const ended = new Promise((resolve) => stream.once('end', resolve));
    // After the time at which it would have been closed without a stream.
    setTimeout(() => finish?.(), 3 * keepAliveMs);
    await ended;
    expect(body).toBe('ab');
    await closed;
  });

  it('a quiet stream of an HTTP/2 target does not affect others', async () => {
    const waiting: ServerHttp2Stream[] = [];
    const port = await h2cTarget((stream, path) => {
      stream.respond({ ':status': 200 });
      if (path === '/wait') {
        stream.write('a');
        waiting.push(stream);
      } else stream.end('ok');
    });
    const keepAliveMs = 300;
    const at = await edge({ '/': port }, { bounds: { keepAliveMs } });
    const requested = { ':path': '/', ':authority': at.host };
    expect(await askH2(await h2Visitor(at), requested)).toMatchObject({ status: 200 });
    const socket = await connectTo(at);
    socket.write(`GET /wait HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    const [stream] = waiting;
    let isToldToGo = false;
    stream!.session!.once('goaway', () => (isToldToGo = true));
    await new Promise((resolve) => setTimeout(resolve, 4 * keepAliveMs));
    expect(await askH2(await h2Visitor(at), requested)).toMatchObject({ status: 200 });
    expect(isToldToGo).toBe(false);
  });
});

it('bytes after a request with an active response are processed once', async () => {
  const port = await h1Target((_request, response) => response.write('hello'));
  const at = await edge({ '/': port });
  const warnings: Error[] = [];
  const onWarning = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const socket = await connectTo(at);
  socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  await new Promise((resolve) => socket.once('data', resolve));
  for (let i = 0; i < 50; i++)
    await new Promise<void>((resolve) => socket.write('\0noise\r\n\r\n', () => setImmediate(resolve)));
  expect(warnings).toEqual([]);
});

describe('a response', () => {
  it('in a transfer coding other than chunked is rejected, because nothing decodes it', async () => {
    const coded = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n';
    const at = await edge({ '/': (await rawTarget(coded)).port });
    expect(await raw(at, `GET / HTTP/1.1\r\n${HEAD}\r\n`)).toMatch(/^HTTP\/1.1 502 /);
    const post = `POST / HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\nhi`;
    expect(await raw(at, post)).toMatch(/^HTTP\/1.1 502 /);
  });

  it('with status 204 has no length, whatever the target sends', async () => {
    const { port } = await rawTarget('HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n');
    const at = await edge({ '/': port });
    expect(await raw(at, `GET / HTTP/1.1\r\n${HEAD}\r\n`)).not.toMatch(/content-length/i);
    const answer = await askH2(await h2Visitor(at), { ':path': '/', ':authority': at.host });
    expect(answer).toMatchObject({ status: 204, body: '' });
  });
});

it('fields that a target may interpret as framing are removed', async () => {
  const { port, received } = await rawTarget(OK);
  const twins = 'Content_Length: 1\r\nTransfer_Encoding: chunked\r\nKeep_Alive: 1\r\n';
  const request = `POST / HTTP/1.1\r\n${HEAD}${twins}Content-Length: 2\r\n\r\nhi`;
  expect(await raw(await edge({ '/': port }), request)).toMatch(/^HTTP\/1.1 200 /);
  expect(received[0]).not.toMatch(/content_|transfer|keep_/i);
});

describe('several requests on a connection (pipelining)', () => {
  it('reach the target one after another, because their order may matter', async () => {
    let atOnce = 0;
    let most = 0;
    const order: string[] = [];
    const port = await h1Target((request, response) => {
      order.push(request.url!);
      most = Math.max(most, ++atOnce);
      // Enough time for the next request, if it were sent.
      setTimeout(() => {
        atOnce--;
        response.end(`<${request.url}>`);
      }, 50);
    });
    const words = `POST /1 HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 2\r\n\r\nhi${get('/2')}${get('/3')}`;
    const answers = await saying(await edge({ '/': port }), words, /<\/3>/);
    expect(answers.match(/<\/\d>/g)).toEqual(['</1>', '</2>', '</3>']);
    expect(order).toEqual(['/1', '/2', '/3']);
    expect(most).toBe(1);
  });

  it('may end in a switch of protocols, which waits for its turn', async () => {
    const { port } = await rawTarget((received, socket) => {
      if (!received.includes('\r\n\r\n')) return;
      if (/upgrade/i.test(received)) socket.write(`${WEBSOCKET}\r\nhello`);
      else setImmediate(() => socket.write(OK));
    });
    const upgrade = `GET /2 HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n`;
    const answers = await saying(await edge({ '/': port }), get('/1') + upgrade, /hello/);
    expect(answers).toMatch(/^HTTP\/1.1 200 .*\r\n\r\nokHTTP\/1.1 101 .*\r\n\r\nhello$/s);
  });

  it('without end cannot fill the memory', async () => {
    const port = await h1Target(() => undefined);
    const at = await edge({ '/': port }, { bounds: { maxStreams: 4 } });
    // Closed, although no response came.
    expect(await raw(at, get('/').repeat(20))).toBe('');
  });
});

it('an HTTP/2 visitor who disconnects silently leaves nothing open', async () => {
  const requested = new EventEmitter();
  const port = await h1Target((_request, response) => {
    response.once('close', () => requested.emit('left'));
    requested.emit('arrived');
  });
  const [arrived, left] = [once(requested, 'arrived'), once(requested, 'left')];
  const at = await edge({ '/': port });
  const session = await h2Visitor(at);
  session.request({ ':path': '/', ':authority': at.host }).on('error', () => undefined);
  await arrived;
  session.destroy();
  // The target notices, and the visitor is no longer counted.
  await left;
  await expect.poll(() => at.handler.traffic().visitors).toBe(0);
});

it('an HTTP/2 visitor who freezes during a request is pinged, and then disconnected; an idle one stays', async () => {
  const port = await h1Target((request, response) => {
    if (request.url === '/wait') response.writeHead(200).write('begun');
  });
  const at = await edge({ '/': port }, { bounds: { pingMs: 200 } });
  const way = await wire(() => at.port);
  const frozen = await h2Visitor({ ...at, port: way.port });
  const waiting = await h2Visitor(at);
  for (const session of [frozen, waiting]) {
    const stream = session.request({ ':path': '/wait', ':authority': at.host });
    stream.on('error', () => undefined);
    await once(stream, 'data');
  }
  expect(at.handler.traffic().visitors).toBe(2);
  way.freeze();
  await expect.poll(() => at.handler.traffic().visitors).toBe(1);
  expect(waiting.closed).toBe(false);
});
