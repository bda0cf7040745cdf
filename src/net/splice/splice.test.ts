import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { connection } from '../../../test/support/connection.js';
import { systemCode } from '../../lib/errors.js';
import { conversationIn } from '../conversation/conversation.js';
import { ByteRate } from '../rate.js';
import { resetSocket } from './reset.js';
import { SOCKET_BUFFER_BYTES, SpliceSet, type SpliceLimits } from './splice.js';
import type { SpliceOptions, SpliceResult } from './spliced.js';

const LIMITS: SpliceLimits = { idleMs: 60_000, halfClosedMs: 60_000, lifetimeMs: 60_000, firstResponseMs: 0 };

const closing = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve));

interface Joined {
  readonly set: SpliceSet;
  /** The two peers, and the joined sockets between them. */
  readonly left: Socket;
  readonly right: Socket;
  readonly a: Socket;
  readonly b: Socket;
  readonly result: Promise<SpliceResult>;
}

async function join(
  limits: Partial<SpliceLimits> = {},
  before?: (ends: Omit<Joined, 'result'>) => unknown,
  options: SpliceOptions = {},
): Promise<Joined> {
  const [left, a] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
  const [b, right] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
  const set = new SpliceSet({ ...LIMITS, ...limits });
  onTestFinished(() => set.closeAll());
  await before?.({ set, left, right, a, b });
  const result = new Promise<SpliceResult>((resolve) => set.add(a, b, { ...options, onEnd: resolve }));
  return { set, left, right, a, b, result };
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const [DATA, HEADERS] = [0, 1];
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const EVENTS = CHUNKED.replace('\r\n\r\n', '\r\nContent-Type: text/event-stream\r\n\r\n7\r\ndata: 1\r\n');

/** A frame of HTTP/2 without a payload. */
function h2Frame(type: number, flags: number, stream: number): Buffer {
  const frame = Buffer.alloc(9);
  frame[3] = type;
  frame[4] = flags;
  frame.writeUInt32BE(stream, 5);
  return frame;
}

/** How a connection ends for its holder, and the bytes before the end. */
async function ending(socket: Socket): Promise<{ how: string; bytes: Buffer }> {
  const chunks: Buffer[] = [];
  let how = 'cut';
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('end', () => (how = 'end'));
  socket.on('error', (error) => (how = systemCode(error) ?? error.message));
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
  return { how, bytes: Buffer.concat(chunks) };
}

it('does not count what another process counts', async () => {
  const { set, left, right, result } = await join({}, undefined, { isCountedElsewhere: true });
  right.resume();
  left.write('hello');
  await once(right, 'data');
  expect([set.size, set.counted, set.openBytes]).toEqual([1, 0, { toA: 0, toB: 0 }]);
  left.resume().end();
  right.end();
  expect(await result).toMatchObject({ end: 'ended', bytesToB: 5 });
  expect([set.size, set.counted, set.totalBytes]).toEqual([0, 0, { toA: 0, toB: 0 }]);
  expect(set.ends.counts()).toEqual({});
});

/** The failure of a write to `right` whose other direction is complete. */
async function failed(joined: Joined, answer: Buffer, isEnd: boolean): Promise<void> {
  const { left, right, a, b } = joined;
  left.pause();
  right.resume().end(answer);
  await once(b, 'end');
  if (isEnd) {
    const ended = once(a, 'end');
    left.end('late');
    await ended;
  }
  const closed = closing(b);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  b.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
  await closed;
}

describe('a splice', () => {
  it('carries bytes in both directions, counts them, and ends when both sides have ended', async () => {
    const { set, left, right, result } = await join();
    const [up, down] = [randomBytes(3_000_000), randomBytes(2_000_000)];
    left.end(up);
    right.end(down);
    const [heardLeft, heardRight] = await Promise.all([ending(left), ending(right)]);
    expect(sha(heardRight.bytes)).toBe(sha(up));
    expect(sha(heardLeft.bytes)).toBe(sha(down));
    expect(await result).toEqual({ end: 'ended', bytesToB: 3_000_000, bytesToA: 2_000_000 });
    expect(set.size).toBe(0);
  });

  it.each(['left', 'right'] as const)(
    'forwards a half-close of the %s side and keeps the other direction open',
    async (first) => {
      const joined = await join();
      const [one, other] = first === 'left' ? [joined.left, joined.right] : [joined.right, joined.left];
      one.end('question');
      expect(await ending(other)).toEqual({ how: 'end', bytes: Buffer.from('question') });
      other.write('slow ');
      other.end('answer');
      expect(await ending(one)).toEqual({ how: 'end', bytes: Buffer.from('slow answer') });
      expect((await joined.result).end).toBe('ended');
    },
  );

  it.each(['left', 'right'] as const)('forwards a reset by the %s side as a reset', async (first) => {
    const joined = await join();
    const [one, other] = first === 'left' ? [joined.left, joined.right] : [joined.right, joined.left];
    one.write('half a sen');
    await once(other, 'data');
    one.resetAndDestroy();
    expect((await ending(other)).how).toBe('ECONNRESET');
    expect((await joined.result).end).toBe('reset');
    expect(joined.set.size).toBe(0);
  });

  it('forwards a reset after a half-close', async () => {
    const { left, right, result } = await join();
    left.end('all of it');
    await ending(right);
    right.resetAndDestroy();
    expect((await ending(left)).how).toBe('ECONNRESET');
    expect((await result).end).toBe('reset');
  });

  describe('after one side has closed cleanly and then fails', () => {
    it.each<[what: string, isEnd: boolean, rate: ByteRate | undefined]>([
      ['has ended', true, undefined],
      ['ends afterwards', false, undefined],
      ['has ended, at a limited rate', true, new ByteRate(1e9)],
      ['ends afterwards, at a limited rate', false, new ByteRate(1e9)],
    ])('a slow other side that %s still receives everything', async (_what, isEnd, rate) => {
      const joined = await join({}, undefined, { rate });
      const answer = randomBytes(1_000_000);
      await failed(joined, answer, isEnd);
      // A reset before now would have dropped the unread rest.
      vi.advanceTimersByTime(3_000);
      const heard = ending(joined.left);
      joined.left.resume();
      const { how, bytes } = await heard;
      expect({ how, sha: sha(bytes) }).toEqual({ how: 'end', sha: sha(answer) });
      joined.left.end();
      expect((await joined.result).end).toBe('ended');
    });

    it('resets the other side if it does not end soon', async () => {
      const joined = await join();
      await failed(joined, Buffer.from('answer'), false);
      vi.advanceTimersByTime(10_000);
      expect((await joined.result).end).toBe('reset');
    });
  });

  it.each([
    ['closed long before', ({ a }: { a: Socket }) => closing(a.destroy())],
    ['destroyed in the same turn', ({ a }: { a: Socket }) => void a.destroy()],
    [
      'reset by its peer, unread',
      ({ left, a }: { left: Socket; a: Socket }) => {
        left.resetAndDestroy();
        return closing(a.resume());
      },
    ],
  ])('ends immediately when one side was %s', async (_what, before) => {
    const { right, result, set } = await join({}, before);
    expect((await ending(right)).how).toBe('ECONNRESET');
    expect((await result).end).toBe('reset');
    expect(set.size).toBe(0);
  });

  it('counts bytes in the read buffer and bytes sent ahead, but no earlier bytes', async () => {
    const [left, a] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
    const [b, right] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
    left.write('upgrade');
    await once(a, 'data');
    a.pause();
    left.write('early');
    a.unshift(Buffer.from('head'));
    const set = new SpliceSet(LIMITS);
    const result = new Promise<SpliceResult>((resolve) => set.add(a, b, { onEnd: resolve, sentToB: 3 }));
    left.end();
    right.end();
    expect((await ending(right)).bytes.toString()).toBe('headearly');
    // `head` is in the bytes already read: `upgrade` without `head` came earlier.
    expect((await result).bytesToB).toBe('headearly'.length + 3);
  });

  it('pauses the writer while the reader does not read', async () => {
    const { left, right, a, b } = await join();
    right.pause();
    const chunk = Buffer.alloc(256 * 1024);
    let written = 0;
    while (left.write(chunk)) {
      written += chunk.length;
      await new Promise(setImmediate);
    }
    expect(a.readableLength + b.writableLength).toBeLessThan(4 * 1024 * 1024);
    expect(written).toBeLessThan(64 * 1024 * 1024);
    right.resume();
    await once(left, 'drain');
  });
});

describe('limits', () => {
  it('idleMs without bytes', async () => {
    const { left, result } = await join({ idleMs: 60 });
    left.write('x');
    expect((await ending(left)).how).toBe('ECONNRESET');
    expect(await result).toMatchObject({ end: 'idle', bytesToB: 1 });
  });

  it('halfClosedMs without bytes after one side has ended', async () => {
    const open = await join({ halfClosedMs: 60, idleMs: 1_500 });
    const gone = await join({ halfClosedMs: 60 });
    gone.left.end('bye');
    expect((await gone.result).end).toBe('idle');
    expect(open.set.size).toBe(1);
    expect((await open.result).end).toBe('idle');
  });

  it('lifetimeMs, however busy', async () => {
    const { left, right, result } = await join({ lifetimeMs: 150 });
    right.resume();
    const busy = setInterval(() => left.write('x'), 10);
    expect((await result).end).toBe('lifetime');
    clearInterval(busy);
  });

  it('firstResponseMs without a byte from b; one byte is enough', async () => {
    const silent = await join({ firstResponseMs: 60 });
    silent.left.write('anybody there?');
    const answered = await join({ firstResponseMs: 60, idleMs: 300 });
    answered.right.write('y');
    expect((await silent.result).end).toBe('no_response');
    expect((await answered.result).end).toBe('idle');
  });
});

describe('draining', () => {
  it('a second call ends the first one too, even if a socket does not close', async () => {
    const { set, a } = await join();
    const destroy = a.destroy.bind(a);
    a.destroy = () => a;
    const first = set.drain({ ms: 300_000 });
    await set.drain({ ms: 0 });
    await expect(first).resolves.toBeUndefined();
    destroy();
  });

  it('waits for the last splice, and returns immediately without one', async () => {
    const { set, left, right } = await join();
    const drained = set.drain({
      ms: 20_000,
      onCut: () => expect.unreachable('nothing was reset'),
    });
    left.end('bye');
    right.end();
    await drained;
    expect(set.size).toBe(0);
    await set.drain({ ms: 20_000 });
  });

  it.each([
    ['ends HTTP between its messages in order', 'http/1.1', 'HTTP/1.1 204 No Content\r\n\r\n', 'end'],
    ['ends an event stream', 'http/1.1', EVENTS, 'end'],
    [
      'resets HTTP with an unclear end',
      'http/1.1',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n too long',
      'ECONNRESET',
    ],
    ['resets another protocol', undefined, 'the first pa', 'ECONNRESET'],
  ])('without bytes for a while, %s', async (_, alpn, answer, how) => {
    const conversation = alpn === undefined ? undefined : conversationIn(alpn);
    const { set, left, right } = await join({}, undefined, { conversation });
    left.write('GET / HTTP/1.1\r\n\r\n');
    await once(right, 'data');
    right.write(answer);
    const end = ending(left);
    await once(left, 'data');
    const drained = set.drain({ ms: 20_000, quietMs: 100 });
    expect((await end).how).toBe(how);
    left.destroy();
    await drained;
  });

  const ASK_H1 = 'GET / HTTP/1.1\r\n\r\n';
  const ASK_H2 = Buffer.concat([PREFACE, h2Frame(HEADERS, 5, 1)]);
  it.each([
    ['a response', 'http/1.1', ASK_H1, '', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['a response', 'h2', ASK_H2, '', h2Frame(HEADERS, 5, 1)],
    [
      'the rest of a response',
      'http/1.1',
      ASK_H1,
      `HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf`,
      'rest',
    ],
    ['the next chunk', 'http/1.1', ASK_H1, `${CHUNKED}4\r\nhalf\r\n`, '0\r\n\r\n'],
    ['the end of the connection', 'http/1.1', ASK_H1, 'HTTP/1.1 200 OK\r\n\r\nhalf', 'rest'],
    ['the rest of a response', 'h2', ASK_H2, h2Frame(HEADERS, 4, 1), h2Frame(DATA, 1, 1)],
  ])(
    'lets a visitor wait for %s of %s, but not one without a request',
    async (what, alpn, ask, begin, answer) => {
      const [near, far] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
      const [target, other] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
      const { set, left, right } = await join({}, undefined, { conversation: conversationIn(alpn) });
      set.add(far, target);
      left.write(ask);
      await once(right, 'data');
      if (begin.length > 0) {
        right.write(begin);
        await once(left, 'data');
      }
      near.write('another protocol');
      await once(other, 'data');
      const [idle, slow] = [ending(near), ending(left)];
      const drained = set.drain({ ms: 20_000, quietMs: 100 });
      // The other one has had no bytes for less time.
      expect((await idle).how).toBe('ECONNRESET');
      other.destroy();
      if (what === 'the end of the connection') right.end(answer);
      else right.write(answer);
      expect(await slow).toMatchObject({
        how: 'end',
        bytes: expect.objectContaining({ length: answer.length }),
      });
      left.destroy();
      await drained;
    },
  );

  it('ends HTTP/1.1 after the next exchange of a visitor that never pauses, and announces that', async () => {
    const { set, left, right } = await join({}, undefined, { conversation: conversationIn('http/1.1') });
    const [ask, answer] = ['GET / HTTP/1.1\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'];
    let asked = 0;
    right.on('data', () => {
      asked++;
      right.write(answer);
    });
    let texts = '';
    left.write(ask);
    left.on('data', (chunk: Buffer) => {
      texts += String(chunk);
      if (!texts.includes('close')) left.write(ask);
    });
    await expect.poll(() => asked).toBeGreaterThan(2);
    const end = ending(left);
    const drained = set.drain({
      ms: 20_000,
      quietMs: 5_000,
      onCut: () => expect.unreachable('nothing was reset'),
    });
    expect((await end).how).toBe('end');
    left.destroy();
    await drained;
    expect(texts.split('ok')).toHaveLength(asked + 1);
    expect(texts.match(/Connection: close/g)).toHaveLength(1);
  });

  it('ends HTTP/2 at a short pause of a visitor that makes no longer ones', async () => {
    const { set, left, right } = await join({}, undefined, { conversation: conversationIn('h2') });
    let stream = 1;
    right.on('data', () => right.write(h2Frame(HEADERS, 5, stream)));
    const ask = (): void => void left.write(h2Frame(HEADERS, 5, (stream += 2)));
    left.on('data', () => setTimeout(ask, 60));
    left.write(Buffer.concat([PREFACE, h2Frame(HEADERS, 5, 1)]));
    const end = ending(left);
    const drained = set.drain({
      ms: 20_000,
      quietMs: 200,
      onCut: () => expect.unreachable('nothing was reset'),
    });
    expect((await end).how).toBe('end');
    left.destroy();
    await drained;
  });

  it('resets the remaining splices after the timeout', async () => {
    const { set, left, result } = await join();
    const cut: number[] = [];
    await set.drain({ ms: 20, onCut: (connections) => cut.push(connections) });
    expect(cut).toEqual([1]);
    expect((await ending(left)).how).toBe('ECONNRESET');
    expect((await result).end).toBe('closed');
  });
});

describe('resetSocket', () => {
  it.each([
    ['open', () => undefined],
    ['ended in this turn', (socket: Socket) => void socket.end()],
    ['ended in this turn with data to send', (socket: Socket) => void socket.end('x')],
    [
      'ended with much data that the peer does not read',
      (socket: Socket) => void socket.end(Buffer.alloc(20_000_000)),
    ],
    ['completely ended', (socket: Socket) => once(socket.end(), 'finish')],
    ['destroyed', (socket: Socket) => void socket.destroy()],
  ])('closes a socket that is %s', async (_what, before) => {
    const [near, far] = await connection({ highWaterMark: SOCKET_BUFFER_BYTES });
    const closed = closing(near);
    await before(near);
    resetSocket(near);
    await closed;
    far.resume();
    expect(near.destroyed).toBe(true);
  });
});

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
