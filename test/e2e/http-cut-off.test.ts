import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Recorders } from '../../src/agent/inspect/recorder.js';
import type { HttpLimits } from '../../src/agent/modes/http/limits.js';
import { systemCode } from '../../src/lib/errors.js';
import type { Drain } from '../../src/net/splice/splice.js';
import {
  bodyOf,
  DATA,
  END_HEADERS,
  END_STREAM,
  endOf,
  fields,
  frame,
  frameTarget,
  frameVisitor,
  GET,
  goaway,
  HEADERS,
  POST,
  rstStream,
  windowUpdate,
  type FrameConnection,
  type FrameVisitor,
} from '../support/h2-frames.js';
import { askH2, connectTo, edge, h2Visitor, HOST, rawTarget, type Edge } from '../support/http-edge.js';
import { settled } from '../support/inspector.js';

/** A truncated response or upload must not look complete (RFC 9113 §8.1.1, RFC 9112 §8). */

type Cut = (socket: Socket) => void;
const FIN: Cut = (socket) => void socket.end();
const RST: Cut = (socket) => void socket.resetAndDestroy();

const HALF = 'half of';
const CHUNK = `64\r\n${HALF}`;
const head = (...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`;
const LENGTH = 'Content-Length: 100';
const CHUNKED = 'Transfer-Encoding: chunked';
const CLOSE = 'Connection: close';

const CUT_ANSWERS: [what: string, bytes: string, cut: Cut][] = [
  ['Content-Length, FIN', head(LENGTH) + HALF, FIN],
  ['Content-Length, RST', head(LENGTH) + HALF, RST],
  ['Content-Length and Connection: close, FIN', head(LENGTH, CLOSE) + HALF, FIN],
  ['Content-Length and Connection: close, RST', head(LENGTH, CLOSE) + HALF, RST],
  ['Content-Length over HTTP/1.0, FIN', head(LENGTH).replace('1.1', '1.0') + HALF, FIN],
  ['chunked, FIN in a chunk', head(CHUNKED) + CHUNK, FIN],
  ['chunked, FIN between chunks', `${head(CHUNKED)}7\r\n${HALF}\r\n`, FIN],
  ['chunked, FIN before the end of the trailers', `${head(CHUNKED)}7\r\n${HALF}\r\n0\r\nX-Sum: 1\r\n`, FIN],
  ['chunked, RST', head(CHUNKED) + CHUNK, RST],
  ['chunked and Connection: close, FIN', head(CHUNKED, CLOSE) + CHUNK, FIN],
  ['chunked and Connection: close, FIN between chunks', `${head(CHUNKED, CLOSE)}7\r\n${HALF}\r\n`, FIN],
  ['chunked and Connection: close, RST', head(CHUNKED, CLOSE) + CHUNK, RST],
  ['chunked, then no chunk', `${head(CHUNKED)}7\r\n${HALF}\r\n`, (socket) => void socket.write('zz\r\n')],
  ['until the connection closes, RST', head(CLOSE) + HALF, RST],
  ['until the connection closes over HTTP/1.0, RST', head().replace('1.1', '1.0') + HALF, RST],
];

/** A target that responds to each request with `bytes`, and returns the sockets. */
async function fixedTarget(bytes: string): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const { port } = await rawTarget((received, socket) => {
    if (sockets.includes(socket) || !received.includes('\r\n\r\n')) return;
    sockets.push(socket);
    socket.write(bytes);
  });
  return { port, sockets };
}

const asks: Record<string, Buffer[]> = {
  GET: [frame(HEADERS, END_STREAM | END_HEADERS, 1, fields(GET))],
  POST: [frame(HEADERS, END_HEADERS, 1, fields(POST)), frame(DATA, END_STREAM, 1, Buffer.from('x'))],
};

const WEBSOCKET = fields([
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  ...GET.slice(1),
  ['sec-websocket-version', '13'],
]);

/** How an HTTP/2 visitor disconnects in the middle. */
const VISITOR_CUTS: [what: string, cut: (visitor: FrameVisitor) => void][] = [
  ['RST_STREAM(CANCEL)', (visitor) => visitor.send(rstStream(1, 8))],
  ['RST_STREAM(NO_ERROR)', (visitor) => visitor.send(rstStream(1, 0))],
  ['close_notify', ({ socket }) => void socket.end()],
  ['GOAWAY', ({ socket }) => void socket.end(goaway(0, 0))],
  ['GOAWAY with an error', ({ socket }) => void socket.end(goaway(0, 1))],
  ['destroy', ({ socket }) => void socket.destroy()],
];

interface Upload {
  readonly port: number;
  /** The result of the request. */
  body(): string;
  /** Whether the target may consider it complete, once that is decided. */
  end(): 'whole' | 'broken' | undefined;
}

async function uploadTarget(): Promise<Upload> {
  let isOver = false;
  const { port, received } = await rawTarget((_received, socket) => {
    socket.once('close', () => (isOver = true));
  });
  return {
    port,
    body: () => received.join(''),
    end: () =>
      received.some((text) => text.endsWith('\r\n0\r\n\r\n')) ? 'whole' : isOver ? 'broken' : undefined,
  };
}

async function h2UploadTarget(): Promise<Upload> {
  const { port, connections } = await frameTarget(() => undefined);
  const requested = (): FrameConnection | undefined =>
    connections.find(({ frames }) => frames.some(({ type }) => type === HEADERS));
  return {
    port,
    body: () => bodyOf(requested()?.frames ?? [], 1),
    end: () => {
      const { frames = [], isClosed = false } = requested() ?? {};
      const end = endOf(frames, 1, isClosed);
      return end === undefined ? undefined : end === 'END_STREAM' ? 'whole' : 'broken';
    },
  };
}

/** The inspector's record of the first request, if there is an inspector. */
async function outcomeOf(recorders: Recorders | undefined): Promise<string | undefined> {
  return recorders && (await settled(recorders.store, 1)).outcome;
}

async function half(visitor: FrameVisitor, stream = 1): Promise<void> {
  await expect.poll(() => visitor.body(stream)).toBe(HALF);
  expect(visitor.end(stream)).toBeUndefined();
}

describe('a response that the target truncates is reset over HTTP/2, never ended:', () => {
  const table = Object.keys(asks).flatMap((method) => [
    ...CUT_ANSWERS.map(([what, bytes, cut]) => ({ path: method, method, what, bytes, cut })),
    // With the inspector, whose code could miss some.
    ...CUT_ANSWERS.slice(0, 2).map(([what, bytes, cut]) => ({
      path: `${method}, inspected`,
      method,
      what,
      bytes,
      cut,
    })),
  ]);
  it.each(table)('$path, $what', async ({ path, method, bytes, cut }) => {
    const target = await fixedTarget(bytes);
    const recorders = path.endsWith('inspected') ? new Recorders() : undefined;
    const at = await edge({ '/': target.port }, recorders && { recorders });
    const visitor = await frameVisitor(at);
    visitor.send(...asks[method]!);
    await half(visitor);
    cut(target.sockets[0]!);
    await expect.poll(() => visitor.end(1)).toBe('RST_STREAM(2)');
    expect(await outcomeOf(recorders)).toBe(recorders && 'broken');
  });

  it.each<[what: string, cut: (connection: FrameConnection) => void]>([
    ['RST_STREAM(INTERNAL_ERROR)', ({ socket }) => void socket.write(rstStream(1, 2))],
    ['RST_STREAM(CANCEL)', ({ socket }) => void socket.write(rstStream(1, 8))],
    ['RST_STREAM(NO_ERROR)', ({ socket }) => void socket.write(rstStream(1, 0))],
    ['GOAWAY', ({ socket }) => void socket.end(goaway(1, 0))],
    ['GOAWAY with an error', ({ socket }) => void socket.end(goaway(0, 1))],
    ['FIN', ({ socket }) => FIN(socket)],
    ['RST', ({ socket }) => RST(socket)],
  ])('a target of HTTP/2, %s', async (_what, cut) => {
    for (const method of Object.keys(asks)) {
      let requested: FrameConnection | undefined;
      const { port } = await frameTarget((one, connection) => {
        if (one.type !== HEADERS || requested) return;
        requested = connection;
        // `:status: 200` is field 8 of HPACK's own table.
        connection.socket.write(frame(HEADERS, END_HEADERS, 1, Buffer.from([0x88])));
        connection.socket.write(frame(DATA, 0, 1, Buffer.from(HALF)));
      });
      const at = await edge({ '/': port });
      await at.protocols.detect(at.spec().target);
      const visitor = await frameVisitor(at);
      visitor.send(...asks[method]!);
      await half(visitor);
      cut(requested!);
      await expect.poll(() => visitor.end(1)).toBe('RST_STREAM(2)');
    }
  });

  it('more than the visitor’s window allows', async () => {
    const target = await fixedTarget(head('Content-Length: 900000') + 'x'.repeat(800_000));
    const visitor = await frameVisitor(await edge({ '/': target.port }));
    visitor.send(...asks['GET']!);
    // The most that a visitor accepts without a window update.
    await expect.poll(() => visitor.body(1).length).toBe(65_535);
    FIN(target.sockets[0]!);
    visitor.send(windowUpdate(0, 2 ** 20), windowUpdate(1, 2 ** 20));
    await expect.poll(() => visitor.end(1)).toBe('RST_STREAM(2)');
  });

  it('a rejected switch of protocols', async () => {
    const target = await fixedTarget(head(LENGTH) + HALF);
    const visitor = await frameVisitor(await edge({ '/': target.port }));
    visitor.send(frame(HEADERS, END_HEADERS, 1, WEBSOCKET));
    await half(visitor);
    FIN(target.sockets[0]!);
    await expect.poll(() => visitor.end(1)).toBe('RST_STREAM(2)');
  });

  it('and the visitor is not reported as the cause', async () => {
    const target = await fixedTarget(head(LENGTH) + HALF);
    const at = await edge({ '/': target.port }, { bounds: { resetBurst: 2, resetsPerSecond: 0 } });
    const visitor = await frameVisitor(at);
    for (let i = 0; i < 5; i++) {
      const stream = 2 * i + 1;
      visitor.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, fields(GET)));
      await half(visitor, stream);
      RST(target.sockets[i]!);
      await expect.poll(() => visitor.end(stream)).toBe('RST_STREAM(2)');
    }
    expect(visitor.isClosed).toBe(false);
  });
});

it.each(['\r\nTransfer-Encoding: chunked', '\r\nConnection: close', ''])(
  'a complete response ends as one%s',
  async (lines) => {
    const bytes = lines.includes('chunked') ? `7\r\n${HALF}\r\n0\r\n\r\n` : HALF;
    const target = await fixedTarget(`HTTP/1.1 200 OK${lines}\r\n\r\n${bytes}`);
    for (const ask of Object.values(asks)) {
      const visitor = await frameVisitor(await edge({ '/': target.port }));
      visitor.send(...ask);
      await expect.poll(() => visitor.body(1)).toBe(HALF);
      FIN(target.sockets.at(-1)!);
      await expect.poll(() => visitor.end(1)).toBe('END_STREAM');
    }
  },
);

it('a truncated response has no end over HTTP/1.1, and resets a connection of HTTP/1.0', async () => {
  const target = await fixedTarget(head(CHUNKED) + CHUNK);
  const at = await edge({ '/': target.port });
  // In HTTP/1.0 only a reset distinguishes a truncation from the end.
  for (const [version, code] of [
    ['1.1', undefined],
    ['1.0', 'ECONNRESET'],
  ]) {
    const socket = await connectTo(at);
    let text = '';
    let error: NodeJS.ErrnoException | undefined;
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('error', (raised) => (error = raised));
    socket.write(`GET / HTTP/${version}\r\nHost: ${HOST}\r\n\r\n`);
    await expect.poll(() => text).toContain(HALF);
    RST(target.sockets.at(-1)!);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(text).not.toContain('0\r\n\r\n');
    expect(error?.code).toBe(code);
  }
});

it('a replay of a truncated response is recorded as broken', async () => {
  const target = await fixedTarget(head(CHUNKED, CLOSE) + CHUNK);
  const recorders = new Recorders();
  const at = await edge({ '/': target.port }, { recorders });
  const visitor = await frameVisitor(at);
  visitor.send(...asks['GET']!);
  await half(visitor);
  FIN(target.sockets[0]!);
  const first = await settled(recorders.store, 1);
  const id = recorders.replay(first, {});
  await expect.poll(() => recorders.store.get(id)?.responseBody.bytes).toBe(HALF.length);
  FIN(target.sockets[1]!);
  expect((await settled(recorders.store, 2)).outcome).toBe('broken');
});

describe('a switched connection over HTTP/2', () => {
  const SWITCHED =
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhalf of';

  async function switched(
    kind: string,
  ): Promise<{ visitor: FrameVisitor; upstream: Socket; recorders: Recorders | undefined }> {
    const target = await fixedTarget(SWITCHED);
    const recorders = kind === '' ? undefined : new Recorders();
    const visitor = await frameVisitor(await edge({ '/': target.port }, recorders && { recorders }));
    visitor.send(frame(HEADERS, END_HEADERS, 1, WEBSOCKET));
    await half(visitor);
    return { visitor, upstream: target.sockets[0]!, recorders };
  }

  it.each(['', ', inspected'])('is reset when the target resets%s', async (kind) => {
    const { visitor, upstream, recorders } = await switched(kind);
    RST(upstream);
    await expect.poll(() => visitor.end(1)).toBe('RST_STREAM(2)');
    expect(await outcomeOf(recorders)).toBe(recorders && 'broken');
  });

  it.each(['', ', inspected'])('ends when the target ends%s', async (kind) => {
    const { visitor, upstream, recorders } = await switched(kind);
    FIN(upstream);
    await expect.poll(() => visitor.end(1)).toBe('END_STREAM');
    visitor.send(frame(DATA, END_STREAM, 1));
    expect(await outcomeOf(recorders)).toBe(recorders && 'done');
  });

  it('ends at the target when the visitor ends its stream', async () => {
    const { visitor, upstream } = await switched('');
    visitor.send(frame(DATA, END_STREAM, 1));
    await once(upstream, 'end');
    expect(visitor.isClosed).toBe(false);
  });

  it.each(VISITOR_CUTS)('is reset at the target when the visitor disconnects: %s', async (_what, cut) => {
    const { visitor, upstream } = await switched('');
    let ended = false;
    upstream.once('end', () => (ended = true));
    const error = once(upstream, 'error').catch((raised: unknown) => [raised]);
    cut(visitor);
    expect((await error)[0]).toMatchObject({ code: 'ECONNRESET' });
    expect(ended).toBe(false);
  });
});

describe('an upload that the visitor truncates is never complete for the target:', () => {
  const targets: [string, () => Promise<Upload>][] = [
    ['HTTP/1.1', uploadTarget],
    ['HTTP/2', h2UploadTarget],
  ];
  const uploads: [string, readonly (readonly [string, string])[]][] = [
    ['without a length', POST],
    ['with a length', [...POST, ['content-length', '100']]],
  ];
  const table = targets.flatMap(([version, open]) =>
    uploads.flatMap(([length, ask]) =>
      VISITOR_CUTS.map(([what, cut]) => ({ version, open, length, ask, what, cut })),
    ),
  );
  it.each(table)('$version, $length, $what', async ({ open, ask, cut }) => {
    for (const recorders of [undefined, new Recorders()]) {
      const upload = await open();
      const at = await edge({ '/': upload.port }, recorders && { recorders });
      await at.protocols.detect(at.spec().target);
      const visitor = await frameVisitor(at);
      visitor.send(frame(HEADERS, END_HEADERS, 1, fields(ask)), frame(DATA, 0, 1, Buffer.from(HALF)));
      await expect.poll(() => upload.body()).toContain(HALF);
      cut(visitor);
      await expect.poll(() => upload.end()).toBeDefined();
      expect(upload.end()).toBe('broken');
    }
  });

  it.each(['Content-Length: 100\r\n\r\nhalf of', 'Transfer-Encoding: chunked\r\n\r\n64\r\nhalf of'])(
    'over HTTP/1.1, %j',
    async (rest) => {
      for (const cut of [FIN, (socket: Socket) => socket.destroy()]) {
        const upload = await uploadTarget();
        const socket = await connectTo(await edge({ '/': upload.port }));
        socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${rest}`);
        await expect.poll(() => upload.body()).toContain(HALF);
        cut(socket);
        await expect.poll(() => upload.end()).toBe('broken');
      }
    },
  );

  it('when the service closes', async () => {
    const upload = await uploadTarget();
    const at = await edge({ '/': upload.port });
    const visitor = await frameVisitor(at);
    visitor.send(frame(HEADERS, END_HEADERS, 1, fields(POST)), frame(DATA, 0, 1, Buffer.from(HALF)));
    await expect.poll(() => upload.body()).toContain(HALF);
    await at.handler.drain({ ms: 0 });
    await expect.poll(() => upload.end()).toBe('broken');
  });

  it('and a complete one is complete', async () => {
    for (const open of [uploadTarget, h2UploadTarget]) {
      const upload = await open();
      const at = await edge({ '/': upload.port });
      await at.protocols.detect(at.spec().target);
      const visitor = await frameVisitor(at);
      visitor.send(
        frame(HEADERS, END_HEADERS, 1, fields(POST)),
        frame(DATA, END_STREAM, 1, Buffer.from(HALF)),
      );
      await expect.poll(() => upload.end()).toBe('whole');
    }
  });

  it('and it cannot be replayed as if it were complete', async () => {
    const upload = await uploadTarget();
    const recorders = new Recorders();
    const visitor = await frameVisitor(await edge({ '/': upload.port }, { recorders }));
    visitor.send(frame(HEADERS, END_HEADERS, 1, fields(POST)), frame(DATA, 0, 1, Buffer.from(HALF)));
    await expect.poll(() => upload.body()).toContain(HALF);
    visitor.send(rstStream(1, 8));
    const recording = await settled(recorders.store, 1);
    expect(recorders.noReplay(recording)).toBe('its body did not arrive completely');
    expect(recorders.noReplay(recording, { body: '' })).toBeUndefined();
  });
});

describe('a connection that the agent closes during a response of HTTP/1.0', () => {
  it.each<[what: string, bounds: Partial<HttpLimits>, drain: Drain | undefined]>([
    ['is reset when the response stalls', { stalledMs: 100 }, undefined],
    ['is reset when the service shuts down', {}, { ms: 0 }],
  ])('%s', async (_what, bounds, drain) => {
    const target = await fixedTarget(head(CHUNKED) + CHUNK);
    const at = await edge({ '/': target.port }, { bounds });
    const visitor = await watched(at, `GET / HTTP/1.0\r\nHost: ${HOST}\r\n\r\n`);
    await expect.poll(visitor.text).toContain(HALF);
    if (drain) await at.handler.drain(drain);
    expect(await visitor.how).toBe('ECONNRESET');
  });
});

const EVENTS = head('Content-Type: text/event-stream', CHUNKED) + CHUNK;

it.each([
  ['the response', '', '', `${head('Content-Length: 4')}late`],
  ['the rest of a response', `${head('Content-Length: 8')}half`, 'half', 'late'],
  ['the next chunk of a response', `${head(CHUNKED)}4\r\nhalf\r\n`, 'half', '4\r\nlate\r\n0\r\n\r\n'],
])(
  'a visitor who waits for %s gets it while the service shuts down, and one with a silent event stream is cut off',
  async (_what, begin, received, rest) => {
    const waiting: Socket[] = [];
    const slow = await rawTarget((_received, socket) => {
      waiting.push(socket);
      if (begin !== '') socket.write(begin);
    });
    const events = await fixedTarget(EVENTS);
    const at = await edge({ '/': events.port, '/slow': slow.port });
    const patient = await watched(at, `GET /slow HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await expect.poll(() => waiting.length).toBe(1);
    await expect.poll(patient.text).toContain(received);
    const silent = await watched(at, `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await expect.poll(silent.text).toContain(HALF);
    const drained = at.handler.drain({ ms: 600_000, quietMs: 100 });
    // Both have had no bytes for as long.
    await silent.how;
    waiting[0]!.write(rest);
    await drained;
    expect(patient.text()).toContain('late');
    expect(await patient.how).toBe('end');
  },
);

it.each([
  ['for a response', ''],
  ['for the rest of a response', `${head('Content-Length: 4')}la`],
])(
  'a visitor over HTTP/2 waits %s then, even after a rejected request on its connection',
  async (_what, begin) => {
    const waiting: Socket[] = [];
    const slow = await rawTarget((_received, socket) => {
      waiting.push(socket);
      if (begin !== '') socket.write(begin);
    });
    const events = await fixedTarget(EVENTS);
    const at = await edge({ '/': events.port, '/slow': slow.port });
    const session = await h2Visitor(at);
    const rejected = await askH2(session, { ':path': '/', ':authority': at.host, host: 'other.example' });
    expect(rejected.status).toBe(400);
    const late = askH2(session, { ':path': '/slow', ':authority': at.host });
    await expect.poll(() => waiting.length).toBe(1);
    const silent = await watched(at, `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await expect.poll(silent.text).toContain(HALF);
    const drained = at.handler.drain({ ms: 20_000, quietMs: 100 });
    await silent.how;
    waiting[0]!.write(begin === '' ? `${head('Content-Length: 4')}late` : 'te');
    expect(await late).toMatchObject({ status: 200, body: 'late' });
    await drained;
  },
);

it('a visitor over HTTP/2 with nothing but a silent event stream is cut off then', async () => {
  const events = await fixedTarget(EVENTS);
  const at = await edge({ '/': events.port });
  const session = await h2Visitor(at);
  const stream = session.request({ ':path': '/', ':authority': at.host });
  stream.on('error', () => undefined);
  await once(stream, 'data');
  let disconnected = 0;
  await at.handler.drain({ ms: 600_000, quietMs: 100, onCut: (count) => (disconnected += count) });
  expect(disconnected).toBe(1);
});

it('a connection that switched protocols is reset when the service shuts down without its bytes', async () => {
  const target = await fixedTarget(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n${HALF}`,
  );
  const at = await edge({ '/': target.port });
  const lines = `Host: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: other\r\n`;
  const visitor = await watched(at, `GET / HTTP/1.1\r\n${lines}\r\n`);
  await expect.poll(visitor.text).toContain(HALF);
  await at.handler.drain({ ms: 20_000, quietMs: 100 });
  expect(await visitor.how).toBe('ECONNRESET');
});

/** A visitor that sends `request`: its response so far, and how its connection ends. */
async function watched(at: Edge, request: string): Promise<{ text: () => string; how: Promise<string> }> {
  const socket = await connectTo(at);
  let text = '';
  let how = 'end';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  socket.on('error', (error) => (how = systemCode(error) ?? error.message));
  socket.write(request);
  return { text: () => text, how: new Promise((resolve) => socket.once('close', () => resolve(how))) };
}
