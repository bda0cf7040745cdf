import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer, type ServerOptions } from 'ws';
import { messagesOf } from '../../src/agent/inspect/messages.js';
import { Recorders } from '../../src/agent/inspect/recorder.js';
import type { Recording } from '../../src/agent/inspect/recording.js';
import { RequestStore } from '../../src/agent/inspect/store.js';
import { ask, askH2, connectTo, edge, h2Visitor, VISITOR, type Edge } from '../support/http-edge.js';
import { freePort } from '../support/ports.js';
import { httpService } from '../support/world.js';
import { settled } from '../support/inspector.js';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  fields,
  frame,
  frameVisitor,
  GET,
  HEADERS,
  POST,
  rstStream,
} from '../support/h2-frames.js';

/** How requests are recorded, without any effect on them. */

async function inspectedEdge(
  listener: Parameters<typeof httpService>[0],
  store = new RequestStore(),
): Promise<{ at: Edge; recorders: Recorders }> {
  const { port } = await httpService(listener);
  const recorders = new Recorders(store);
  return { at: await edge({ '/': port }, { recorders }), recorders };
}

describe('an inspected request', () => {
  it('is recorded with its response, both complete', async () => {
    const { at, recorders } = await inspectedEdge((request, response) => {
      request.resume().once('end', () => {
        response.writeHead(201, 'Made', { 'Content-Type': 'text/plain', 'X-Answer': '42' });
        response.end('thank you');
      });
    });
    const { status, body } = await ask(at, '/things?x=1', {
      method: 'POST',
      body: 'a thing',
      headers: { 'X-Ask': '1' },
    });
    expect([status, body]).toEqual([201, 'thank you']);
    const recording = await settled(recorders.store, 1);
    expect(recording).toMatchObject({
      service: 'app',
      method: 'POST',
      target: '/things?x=1',
      authority: at.host,
      remote: VISITOR,
      version: '1.1',
      outcome: 'done',
      status: 201,
      reason: 'Made',
    });
    expect(recording.requestHeaders).toContain('X-Ask');
    expect(recording.responseHeaders).toContain('X-Answer');
    expect(recording.requestBody.kept().toString()).toBe('a thing');
    expect(recording.responseBody.kept().toString()).toBe('thank you');
    expect(recording.firstByteMs).toBeLessThanOrEqual(recording.totalMs!);
    expect(recording.requestMs).toBeGreaterThanOrEqual(0);
  });

  it('is recorded over HTTP/2, with trailers', async () => {
    const { at, recorders } = await inspectedEdge((request, response) => {
      request.resume().once('end', () => {
        response.writeHead(200, { Trailer: 'X-Sum' });
        response.write('body');
        response.addTrailers({ 'X-Sum': '7' });
        response.end();
      });
    });
    const session = await h2Visitor(at);
    await askH2(session, { ':path': '/x', ':method': 'PUT', ':authority': at.host }, 'sent');
    const recording = await settled(recorders.store, 1);
    expect(recording).toMatchObject({ version: '2.0', method: 'PUT', status: 200, outcome: 'done' });
    expect(recording.requestBody.kept().toString()).toBe('sent');
    expect(recording.responseTrailers).toEqual(['X-Sum', '7']);
  });

  it('ends with its response, whatever happens to its body', async () => {
    // Responds without reading the body.
    const { at, recorders } = await inspectedEdge((_request, response) => response.end('no, thank you'));
    const session = await h2Visitor(at);
    const stream = session.request({ ':path': '/form', ':method': 'POST', ':authority': at.host });
    stream.write('a=1');
    for await (const _ of stream);
    const closed = once(session, 'close');
    session.destroy();
    await closed;
    const recording = await settled(recorders.store, 1);
    await expect.poll(() => at.handler.traffic().visitors).toBe(0);
    expect(recording).toMatchObject({ status: 200, outcome: 'done' });
  });

  it('has its whole body once its declared length is there, before HTTP/2 ends the stream', async () => {
    const { at, recorders } = await inspectedEdge((request, response) => {
      request.once('data', () => response.end('thanks'));
    });
    const session = await h2Visitor(at);
    const stream = session.request({
      ':path': '/form',
      ':method': 'POST',
      ':authority': at.host,
      'content-length': 3,
    });
    stream.write('a=1');
    for await (const _ of stream);
    const recording = await settled(recorders.store, 1);
    expect(recording).toMatchObject({
      status: 200,
      outcome: 'done',
      requestMs: expect.any(Number) as number,
    });
    expect(recorders.noReplay(recording)).toBeUndefined();
    session.destroy();
  });

  it('is recorded when Portal itself responds', async () => {
    const { at, recorders } = await inspectedEdge((_, response) => response.end());
    expect((await ask(at, '/a/../b')).status).toBe(400);
    expect(await settled(recorders.store, 1)).toMatchObject({
      target: '/a/../b',
      status: 400,
      outcome: 'done',
      portal: { code: 'unsafe_path' },
    });
  });

  it('is listed with the reason when the HTTP parser rejects it', async () => {
    const { at, recorders } = await inspectedEdge((_, response) => response.end());
    for (const [text, code] of [
      ['GET /a HTTP/1.1\r\nHost: x\r\nBad Field: 1\r\n\r\n', 'bad_request'],
      ['NONSENSE /b HTTP/1.1\r\nHost: x\r\n\r\n', 'unknown_method'],
      [`GET /c HTTP/1.1\r\nHost: ${at.host}\r\nHost: ${at.host}\r\n\r\n`, 'bad_request'],
    ] as const) {
      const socket = await connectTo(at);
      socket.write(text);
      for await (const _ of socket);
      expect([...recorders.store.all()].at(-1)).toMatchObject({
        outcome: 'done',
        hostname: at.host.split(':')[0],
        portal: { code },
      });
    }
    const all = [...recorders.store.all()];
    expect(all.map(({ method, target }) => `${method} ${target}`)).toEqual([
      'GET /a',
      'NONSENSE /b',
      'GET /c',
    ]);
    expect(all[0]!.portal!.title).toMatch(/^Bad request: Invalid header/);
    expect(JSON.stringify(all)).not.toContain('Bad Field');
  });

  it('is listed with the reason when an HTTP/2 request or its frames are rejected', async () => {
    const { at, recorders } = await inspectedEdge((_, response) => response.end());
    const shown = () =>
      [...recorders.store.all()].map(({ method, target, version, portal }) => [
        method,
        target,
        version,
        portal?.title,
      ]);
    const visitor = await frameVisitor(at);
    const twoNames = [...GET, ['host', 'other.example']] as const;
    visitor.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, fields(twoNames)));
    await expect.poll(shown).toEqual([['GET', '/', '2.0', 'Bad request']]);
    // A frame of a stream that the visitor never opened.
    visitor.send(frame(DATA, END_STREAM, 7));
    await expect.poll(() => visitor.isClosed).toBe(true);
    expect(shown()[1]).toEqual(['?', '?', '2.0', 'Bad request: invalid HTTP/2 frames']);
    expect(shown()).toHaveLength(2);
  });

  it('is listed once when a visitor cancels too many HTTP/2 requests', async () => {
    const recorders = new Recorders();
    const target = await httpService((_, response) => response.end());
    const at = await edge({ '/': target.port }, { recorders, bounds: { resetBurst: 3, resetsPerSecond: 0 } });
    const visitor = await frameVisitor(at);
    for (let stream = 1; stream < 40 && !visitor.isClosed; stream += 2)
      visitor.send(frame(HEADERS, END_HEADERS, stream, fields(POST)), rstStream(stream, 8));
    await expect.poll(() => visitor.isClosed).toBe(true);
    const titles = [...recorders.store.all()].map(({ portal }) => portal?.title).filter(Boolean);
    expect(titles).toEqual(['Bad request: too many cancelled requests']);
  });

  it('is a reload when the 503 page reloads itself, and a visit when a person does', async () => {
    const recorders = new Recorders();
    const at = await edge({ '/': await freePort() }, { recorders });
    const page = { Referer: `https://${at.host}/x`, 'Sec-Fetch-Mode': 'navigate' };
    for (const headers of [
      {},
      page,
      { ...page, 'Sec-Fetch-User': '?1' },
      { ...page, Referer: `https://${at.host}/y` },
    ])
      expect((await ask(at, '/x', { headers })).status).toBe(503);
    await settled(recorders.store, 4);
    const all = [...recorders.store.all()];
    expect(all.map(({ portal }) => portal?.code)).toEqual(Array(4).fill('target_down'));
    expect(all.map(({ reload }) => reload === true)).toEqual([false, true, false, false]);
  });

  it('is recorded as broken when the visitor or the target disconnects', async () => {
    const { at, recorders } = await inspectedEdge((request, response) => {
      response.write('beginning');
      if (request.url === '/target-breaks') setImmediate(() => response.destroy());
    });
    const socket = await connectTo(at);
    socket.write(`GET /visitor-leaves HTTP/1.1\r\nHost: ${at.host}\r\n\r\n`);
    await once(socket, 'data');
    socket.destroy();
    expect(await settled(recorders.store, 1)).toMatchObject({ outcome: 'broken', status: 200 });
    await expect(ask(at, '/target-breaks')).rejects.toThrow('aborted');
    expect(await settled(recorders.store, 2)).toMatchObject({ outcome: 'broken', status: 200 });
  });

  it('is recorded as transferred, up to a limit, and streams beyond it', async () => {
    const store = new RequestStore({ maxBodyBytes: 1_000 });
    const { at, recorders } = await inspectedEdge((request, response) => {
      response.writeHead(200, { 'Content-Encoding': 'gzip' });
      request.pipe(response);
    }, store);
    const zipped = gzipSync(Buffer.from(Array.from({ length: 500_000 }, (_, i) => (i * i * 31) % 251)));
    expect(zipped.length).toBeGreaterThan(2_000);
    const { bytes } = await ask(at, '/', { method: 'POST', body: zipped });
    expect(bytes.equals(zipped)).toBe(true);
    const { requestBody, responseBody } = await settled(recorders.store, 1);
    for (const body of [requestBody, responseBody]) {
      expect(body).toMatchObject({ bytes: zipped.length, keptBytes: 1_000, cut: 'long' });
      expect(body.kept().equals(zipped.subarray(0, 1_000))).toBe(true);
    }
  });

  it('is forwarded without a record, and counted, when there are too many', async () => {
    const store = new RequestStore({ requestsPerSecond: 1 });
    const { at, recorders } = await inspectedEdge((_, response) => response.end('ok'), store);
    const session = await h2Visitor(at);
    const head = { ':path': '/', ':authority': at.host };
    const answers = await Promise.all(Array.from({ length: 400 }, () => askH2(session, head)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(recorders.store.dropped).toBeGreaterThan(0);
    expect(recorders.store.dropped + recorders.store.size).toBe(400);
  });

  it('of another protocol is recorded until its connection closes', async () => {
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(sockets, 'listening');
    sockets.on('connection', (socket) => socket.close());
    const recorders = new Recorders();
    const at = await edge({ '/': (sockets.address() as { port: number }).port }, { recorders });
    const socket = await connectTo(at);
    socket.write(
      `GET /live HTTP/1.1\r\nHost: ${at.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await once(socket, 'data');
    expect(recorders.store.get(1)).toMatchObject({ status: 101 });
    socket.destroy();
    expect(await settled(recorders.store, 1)).toMatchObject({ status: 101, outcome: 'done' });
    expect(recorders.noReplay(recorders.store.get(1)!)).toContain('switched protocols');
    await new Promise((resolve) => sockets.close(resolve));
  });
});

/** A WebSocket server that greets and echoes. Resolves with its port. */
async function echoing(options: ServerOptions = {}): Promise<number> {
  const sockets = new WebSocketServer({ ...options, port: 0, host: '127.0.0.1' });
  await once(sockets, 'listening');
  onTestFinished(() => sockets.close());
  sockets.on('connection', (socket) => {
    socket.send('welcome');
    socket.on('message', (data: Buffer, isBinary) => socket.send(data, { binary: isBinary }));
  });
  return (sockets.address() as { port: number }).port;
}

function dial(at: Edge, options: object): WebSocket {
  return new WebSocket(`wss://${at.host}/live`, {
    ca: at.ca.certificatePem,
    lookup: (_host: string, _options: object, done: (e: null, found: object[]) => void) =>
      done(null, [{ address: '127.0.0.1', family: 4 }]),
    ...options,
  } as object);
}

it('records the messages of a WebSocket in both directions, and forwards them unchanged', async () => {
  const recorders = new Recorders();
  const at = await edge({ '/': await echoing() }, { recorders });
  const visitor = dial(at, { perMessageDeflate: false });
  const received: Buffer[] = [];
  const large = randomBytes(200_000);
  await new Promise<void>((resolve) => {
    visitor.once('open', () => {
      visitor.send('hello');
      visitor.send(large);
    });
    visitor.on('message', (data: Buffer) => received.push(data) === 3 && resolve());
  });
  expect(received.map(String).slice(0, 2)).toEqual(['welcome', 'hello']);
  expect(received[2]!.equals(large)).toBe(true);
  visitor.close();
  const recording = await settled(recorders.store, 1);
  const said = messagesOf(recording.messages!);
  const of = (from: string): unknown[] =>
    said
      .filter((message) => message.from === from && message.kind !== 'close')
      .map(({ kind, bytes }) => [kind, bytes]);
  expect(of('visitor')).toEqual([
    ['text', 5],
    ['binary', 200_000],
  ]);
  expect(of('service')).toEqual([
    ['text', 7],
    ['text', 5],
    ['binary', 200_000],
  ]);
  expect(Buffer.from(said.find(({ kind }) => kind === 'binary')!.body, 'base64')).toEqual(
    large.subarray(0, recorders.store.limits.maxMessageBytes),
  );
  expect(recording.requestBody.bytes).toBeGreaterThan(200_000);
});

/** All messages except the end, as `from kind text`. */
const saidIn = ({ messages }: Recording): string[] =>
  messagesOf(messages!)
    .filter(({ kind }) => kind !== 'close')
    .map(({ from, kind, body }) => `${from} ${kind} ${Buffer.from(body, 'base64').toString()}`);

it('shows compressed messages decompressed', async () => {
  const recorders = new Recorders();
  const at = await edge({ '/': await echoing({ perMessageDeflate: { threshold: 0 } }) }, { recorders });
  const visitor = dial(at, { perMessageDeflate: { threshold: 0 } });
  const words = Array.from({ length: 5 }, (_, i) => `the same words, and ${i}`);
  await new Promise<void>((resolve) => {
    let output = 0;
    visitor.once('open', () => words.forEach((word) => visitor.send(word)));
    visitor.on('message', () => ++output === 1 + words.length && resolve());
  });
  expect(visitor.extensions).toContain('permessage-deflate');
  visitor.close();
  const recording = await settled(recorders.store, 1);
  const ofVisitor = saidIn(recording).filter((each) => each.startsWith('visitor'));
  expect(ofVisitor).toEqual(words.map((word) => `visitor text ${word}`));
  const ofService = saidIn(recording).filter((each) => each.startsWith('service'));
  expect(ofService).toEqual(['welcome', ...words].map((word) => `service text ${word}`));
  const last = messagesOf(recording.messages!).findLast(({ kind }) => kind === 'text');
  expect(last!.bytes).toBeLessThan(last!.keptBytes);
});

it('records the messages of a WebSocket over HTTP/2 (RFC 8441)', async () => {
  const recorders = new Recorders();
  const at = await edge({ '/': await echoing() }, { recorders });
  const session = await h2Visitor(at);
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/live',
      ':authority': at.host,
      'sec-websocket-version': '13',
    },
    { endStream: false },
  );
  // Frames from RFC 6455, section 5.7: "Hello", masked, and then the end.
  stream.write(Buffer.from('818537fa213d7f9f4d5158', 'hex'));
  let output = '';
  stream.on('data', (chunk: Buffer) => (output += chunk.toString('latin1')));
  await expect.poll(() => output.endsWith('Hello')).toBe(true);
  stream.end(Buffer.from('888037fa213d', 'hex'));
  expect(await settled(recorders.store, 1)).toMatchObject({ version: '2.0', status: 200, outcome: 'done' });
  expect(saidIn(recorders.store.get(1)!).toSorted()).toEqual([
    'service text Hello',
    'service text welcome',
    'visitor text Hello',
  ]);
});

it('is not recorded from the next request on when `inspect` is removed', async () => {
  const { at, recorders } = await inspectedEdge((_, response) => response.end('ok'));
  await ask(at, '/1');
  const { inspect: _, ...plain } = at.spec();
  at.handler.update(plain);
  await ask(at, '/2');
  at.handler.update({ ...plain, inspect: { mask: [] } });
  await ask(at, '/3');
  await settled(recorders.store, 2);
  expect([...recorders.store.all()].map(({ target }) => target)).toEqual(['/1', '/3']);
});

describe('a replay', () => {
  it('sends the request again with the real secrets, and is recorded as a replay', async () => {
    const seen: unknown[] = [];
    const { at, recorders } = await inspectedEdge((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.once('end', () => {
        const { authorization, 'x-forwarded-for': from, host } = request.headers;
        seen.push({ method: request.method, url: request.url, authorization, from, host, body });
        response.end(`answer ${seen.length}`);
      });
    });
    const headers = { Authorization: 'Bearer s3cr3t', 'Transfer-Encoding': 'chunked' };
    await ask(at, '/pay?n=1', { method: 'POST', body: 'amount=1', headers });
    const original = await settled(recorders.store, 1);
    const id = recorders.replay(original, {});
    expect(id).toBe(2);
    const replayed = await settled(recorders.store, 2);
    expect(replayed).toMatchObject({ replayOf: 1, remote: '127.0.0.1', status: 200, outcome: 'done' });
    expect(replayed.responseBody.kept().toString()).toBe('answer 2');
    expect(seen[1]).toEqual({ ...(seen[0] as object), from: '127.0.0.1' });

    const kept = original.requestHeaders.findIndex((name) => name === 'Authorization') / 2;
    const edited = { keep: kept };
    recorders.replay(original, {
      method: 'PUT',
      target: '/pay?n=2',
      headers: [edited, { name: 'X-New', value: '1' }],
      body: Buffer.from('amount=200').toString('base64'),
    });
    await settled(recorders.store, 3);
    expect(seen[2]).toMatchObject({
      method: 'PUT',
      url: '/pay?n=2',
      authorization: 'Bearer s3cr3t',
      body: 'amount=200',
    });
  });

  it('is rejected for an incomplete recording, and times out', async () => {
    const store = new RequestStore({ maxBodyBytes: 10, replayMs: 1_000 });
    const { at, recorders } = await inspectedEdge((request, response) => {
      request.resume();
      if (request.url === '/stuck') response.write('for ever');
      else response.end();
    }, store);
    await ask(at, '/', { method: 'POST', body: 'x'.repeat(100) });
    const long = await settled(store, 1);
    expect(recorders.noReplay(long)).toContain('not stored completely');
    expect(recorders.noReplay(long, { body: '' })).toBeUndefined();
    recorders.replay(long, { body: '', target: '/stuck' });
    expect(await settled(store, 2)).toMatchObject({ outcome: 'broken', status: 200 });
  });
});
