import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { askH2, connectTo, edge, h2Visitor, rawTarget, type Edge } from '../support/http-edge.js';
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  fields,
  frame,
  frameVisitor,
  GET,
  GOAWAY,
  HEADERS,
  PING,
  PREFACE,
  RST_STREAM,
  SETTINGS,
} from '../support/h2-frames.js';
import { httpService } from '../support/world.js';

/** HTTP/2 frames that no client library sends. */

const ENHANCE_YOUR_CALM = 11;

/** The stream is reset, or, in newer versions of Node, the whole connection. */
const isRefusal = (type: number): boolean => type === RST_STREAM || type === GOAWAY;

/**
 * Sends these frames. Resolves with the types of received frames, once `until` is among them or everything is closed.
 */
async function say(
  at: Edge,
  frames: readonly Buffer[],
  until: number,
): Promise<{ types: number[]; codes: number[] }> {
  const visitor = await frameVisitor(at);
  const types = (): number[] => visitor.frames.map(({ type }) => type);
  const over = new Promise<void>((resolve) => {
    visitor.socket.on('data', () => types().includes(until) && resolve());
    visitor.socket.once('close', () => resolve());
  });
  visitor.send(...frames);
  await over;
  // The frames of type GOAWAY.
  const ends = visitor.frames.filter(({ type }) => type === GOAWAY);
  return { types: types(), codes: ends.map(({ payload }) => payload.readUInt32BE(4)) };
}

describe('a malformed request over HTTP/2 is reset, and nothing reaches the target:', () => {
  it.each<[what: string, pairs: (readonly [string, string])[]]>([
    ['Connection', [...GET, ['connection', 'close']]],
    ['Transfer-Encoding', [...GET, ['transfer-encoding', 'chunked']]],
    ['Keep-Alive', [...GET, ['keep-alive', 'x']]],
    ['Upgrade', [...GET, ['upgrade', 'websocket']]],
    ['TE that is not trailers', [...GET, ['te', 'gzip']]],
    ['a name in upper case', [...GET, ['X-A', 'b']]],
    ['a pseudo-header after the others', [['x-a', 'b'], ...GET]],
    ['an unknown pseudo-header', [...GET, [':evil', 'x']]],
    ['a pseudo-header twice', [...GET.slice(0, 3), [':path', '/x'], GET[3]]],
    ['no path', [GET[0], GET[1], GET[3]]],
    ['a path with a space', [GET[0], GET[1], [':path', '/a b'], GET[3]]],
    ['two lengths', [...GET, ['content-length', '1'], ['content-length', '2']]],
    ['a length without a body', [...GET, ['content-length', '5']]],
  ])('%s', async (_what, pairs) => {
    const target = await rawTarget('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const at = await edge({ '/': target.port });
    const { types } = await say(at, [frame(HEADERS, END_STREAM | END_HEADERS, 1, fields(pairs))], RST_STREAM);
    expect(types.some(isRefusal)).toBe(true);
    expect(target.received).toEqual([]);
  });

  it.each([
    ['a line break in a value', 'x-a', 'b\r\nx-evil: 1'],
    ['NUL in a value', 'x-a', 'b\0c'],
    ['a colon in a name', 'x:evil', 'b'],
  ])('but only a field with %s is dropped', async (_what, name, value) => {
    const target = await rawTarget('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const at = await edge({ '/': target.port });
    await say(at, [frame(HEADERS, END_STREAM | END_HEADERS, 1, fields([...GET, [name, value]]))], DATA);
    expect(target.received).toHaveLength(1);
    expect(target.received[0]).not.toMatch(/x-a|evil/);
  });

  it('a body longer than its length', async () => {
    const target = await rawTarget(() => undefined);
    const at = await edge({ '/': target.port });
    const head = fields([[':method', 'POST'], ...GET.slice(1), ['content-length', '3']]);
    const { types } = await say(
      at,
      [frame(HEADERS, END_HEADERS, 1, head), frame(DATA, END_STREAM, 1, Buffer.from('abcdef'))],
      RST_STREAM,
    );
    expect(types.some(isRefusal)).toBe(true);
    for (const received of target.received) expect(received).not.toContain('abcdef');
  });

  it('an authority that differs from the connection’s, and a Host field next to it', async () => {
    const target = await rawTarget('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const at = await edge({ '/': target.port });
    const visitor = await h2Visitor(at);
    expect(await askH2(visitor, { ':path': '/', ':authority': 'other.example' })).toMatchObject({
      status: 421,
    });
    const { types } = await say(
      at,
      [frame(HEADERS, END_STREAM | END_HEADERS, 1, fields([...GET, ['host', 'other.example']]))],
      DATA,
    );
    expect(types).toContain(HEADERS);
    expect(target.received).toEqual([]);
  });

  it('paths and expectations as over HTTP/1.1', async () => {
    const at = await edge({ '/api': 1 });
    const visitor = await h2Visitor(at);
    expect(await askH2(visitor, { ':path': '/api/../x' })).toMatchObject({ status: 400 });
    expect(await askH2(visitor, { ':path': '/x' })).toMatchObject({ status: 404 });
    expect(await askH2(visitor, { ':path': '/api', expect: 'miracles' })).toMatchObject({ status: 417 });
    expect(await askH2(visitor, { ':path': '*', ':method': 'OPTIONS' })).toMatchObject({ status: 204 });
  });
});

async function takesBack(code: number): Promise<number> {
  let most = 0;
  let open = 0;
  const { port } = await httpService((_request, response) => {
    most = Math.max(most, ++open);
    response.once('close', () => open--);
  });
  const at = await edge({ '/': port }, { bounds: { resetBurst: 20, resetsPerSecond: 1 } });
  const head = fields(GET);
  const frames = Array.from({ length: 500 }, (_, i) => [
    frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, head),
    frame(RST_STREAM, 0, 2 * i + 1, Buffer.from([0, 0, 0, code])),
  ]).flat();
  const { types } = await say(at, frames, 99);
  expect(types.filter((type) => type === HEADERS)).toEqual([]);
  await expect.poll(() => at.handler.traffic().visitors).toBe(0);
  await expect.poll(() => open).toBe(0);
  return most;
}

describe('a flood ends the connection:', () => {
  it('streams opened and reset (CVE-2023-44487)', async () => {
    expect(await takesBack(8)).toBeLessThanOrEqual(128);
  });

  it('streams opened and reset with NO_ERROR', async () => {
    expect(await takesBack(0)).toBeLessThanOrEqual(128);
  });

  it('endless headers (CONTINUATION)', async () => {
    const at = await edge({ '/': 1 });
    const part = fields(Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'a'.repeat(100)] as const));
    const frames = [
      frame(HEADERS, END_STREAM, 1, fields(GET)),
      ...Array.from({ length: 200 }, () => frame(CONTINUATION, 0, 1, part)),
    ];
    const { types } = await say(at, frames, 99);
    expect(types).not.toContain(HEADERS);
    await expect.poll(() => at.handler.traffic().visitors).toBe(0);
  });

  it('settings with too many entries', async () => {
    const at = await edge({ '/': 1 });
    // MAX_CONCURRENT_STREAMS, repeated.
    const entries = Buffer.concat(Array.from({ length: 33 }, () => Buffer.from([0, 3, 0, 0, 0, 1])));
    const { types, codes } = await say(at, [frame(SETTINGS, 0, 0, entries)], 99);
    expect(types).toContain(GOAWAY);
    expect(codes).toEqual([ENHANCE_YOUR_CALM]);
    await expect.poll(() => at.handler.traffic().visitors).toBe(0);
  });

  it.each([
    ['pings', frame(PING, 0, 0, Buffer.alloc(8))],
    ['settings', frame(SETTINGS, 0, 0)],
  ])('%s beyond a rate, even if the visitor reads the acknowledgements', async (_what, flood) => {
    const at = await edge({ '/': 1 }, { bounds: { idleFrameBurst: 50, idleFramesPerSecond: 1 } });
    // Resolves once the connection is closed.
    const { types, codes } = await say(
      at,
      Array.from({ length: 500 }, () => flood),
      99,
    );
    expect(types.length).toBeLessThan(60);
    // GOAWAY can be lost: the connection closes before the rest of the flood is read, and TCP then resets it (RFC 1122, 4.2.2.13).
    expect(codes.filter((code) => code !== ENHANCE_YOUR_CALM)).toEqual([]);
    await expect.poll(() => at.handler.traffic().visitors).toBe(0);
  });

  it('pings besides requests do not: gRPC measures bandwidth with them', async () => {
    const { port } = await httpService((_request, response) => response.end('x'.repeat(100)));
    const at = await edge({ '/': port }, { bounds: { idleFrameBurst: 5, idleFramesPerSecond: 1 } });
    const visitor = await h2Visitor(at);
    for (let count = 0; count < 20; count++) {
      await askH2(visitor, { ':path': '/' });
      await new Promise((resolve) => visitor.ping(resolve));
    }
    expect(visitor.destroyed).toBe(false);
  });

  it('pings whose acknowledgements are not read, and settings', async () => {
    for (const flood of [frame(PING, 0, 0, Buffer.alloc(8)), frame(SETTINGS, 0, 0)]) {
      const at = await edge({ '/': 1 }, { bounds: { keepAliveMs: 2_000 } });
      const socket = await connectTo(at, 'h2');
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]));
      socket.pause();
      const block = Buffer.concat(Array.from({ length: 4_000 }, () => flood));
      const more = (): void => {
        while (!socket.destroyed && socket.write(block));
      };
      socket.on('drain', more);
      more();
      await expect.poll(() => at.handler.traffic().visitors).toBe(0);
      socket.destroy();
    }
  });
});

describe('a target', () => {
  it('that sends settings with too many entries breaks its requests immediately', async () => {
    const entries = Buffer.concat(Array.from({ length: 33 }, () => Buffer.from([0, 3, 0, 0, 0, 1])));
    const target = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(frame(SETTINGS, 0, 0));
      let bytes = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        for (let at = PREFACE.length; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
          if (bytes[at + 3] === HEADERS) socket.write(frame(SETTINGS, 0, 0, entries));
      });
    });
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void target.close());
    const at = await edge({ '/': (target.address() as AddressInfo).port });
    const visitor = await h2Visitor(at);
    const answer = await askH2(visitor, { ':path': '/' });
    expect(answer.status).toBe(502);
  });
});

describe('one connection', () => {
  it('has a limit of concurrent requests, and accepts more as they finish', async () => {
    const waiting: (() => void)[] = [];
    const { port } = await httpService((_request, response) => waiting.push(() => response.end('done')));
    const at = await edge({ '/': port }, { bounds: { maxStreams: 4 } });
    const visitor = await h2Visitor(at);
    expect(visitor.remoteSettings.maxConcurrentStreams).toBe(4);
    const all = Array.from({ length: 8 }, () => askH2(visitor, { ':path': '/' }));
    await expect.poll(() => waiting.length).toBe(4);
    for (const finish of waiting.splice(0)) finish();
    await expect.poll(() => waiting.length).toBe(4);
    for (const finish of waiting.splice(0)) finish();
    expect((await Promise.all(all)).map(({ body }) => body)).toEqual(Array.from({ length: 8 }, () => 'done'));
  });

  it('without requests gets GOAWAY, and is closed', async () => {
    const at = await edge({ '/': 1 }, { bounds: { keepAliveMs: 200 } });
    const visitor = await h2Visitor(at);
    await once(visitor, 'goaway');
    await once(visitor, 'close');
    await expect.poll(() => at.handler.traffic().visitors).toBe(0);
  });
});
