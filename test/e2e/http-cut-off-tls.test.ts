import { describe, expect, it } from 'vitest';
import { Recorders } from '../../src/agent/inspect/recorder.js';
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
  type FrameVisitor,
} from '../support/h2-frames.js';
import { connectTo, edge, HOST } from '../support/http-edge.js';
import { settled } from '../support/inspector.js';
import { tlsTarget, type TlsConnection } from '../support/tls-target.js';

/**
 * With TLS, an end without close_notify truncates a response (RFC 9112 §9.8), unless the target never sends
 * close_notify.
 */

type Cut = (connection: TlsConnection) => void;
const NOTIFY: Cut = ({ tls }) => void tls.end();
const FIN: Cut = ({ tcp }) => void tcp.end();
const RST: Cut = ({ tcp }) => void tcp.resetAndDestroy();
/** The beginning of a record only. */
const IN_A_RECORD: Cut = ({ tcp }) => void tcp.end(Buffer.from('1703030040aabbcc', 'hex'));

const HALF = 'half of';
const UNTIL_CLOSE = 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n';
const OLD = 'HTTP/1.0 200 OK\r\n\r\n';
const LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n';
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n';

/** How a target ends its response to the agent's probe. */
type Manners = 'announces' | 'does not' | 'stays open' | 'is down';

interface Asked {
  readonly connections: TlsConnection[];
  readonly questions: string[];
  readonly to: string;
}

/** A target that begins each response with `head` and half a body. */
async function target(head: string, manners: Manners): Promise<Asked> {
  const connections: TlsConnection[] = [];
  const questions: string[] = [];
  const { to } = await tlsTarget((received, connection) => {
    if (!received.includes('\r\n\r\n') || connections.some(({ tls }) => tls === connection.tls)) return;
    if (!received.startsWith('OPTIONS * ')) {
      connections.push(connection);
      connection.tls.write(head + HALF);
      return;
    }
    questions.push(received);
    if (manners === 'is down') {
      connection.tcp.resetAndDestroy();
      return;
    }
    connection.tls.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    if (manners === 'announces') connection.tls.end();
    // After the written bytes, which are still in transit.
    if (manners === 'does not') setImmediate(() => connection.tcp.end());
  });
  return { connections, questions, to };
}

const ASKS = {
  GET: [frame(HEADERS, END_STREAM | END_HEADERS, 1, fields(GET))],
  POST: [frame(HEADERS, END_HEADERS, 1, fields(POST)), frame(DATA, END_STREAM, 1, Buffer.from('x'))],
} as const;
type Method = keyof typeof ASKS;
const METHODS: Method[] = ['GET', 'POST'];

async function half(visitor: FrameVisitor): Promise<void> {
  await expect.poll(() => visitor.body(1)).toBe(HALF);
  expect(visitor.end(1)).toBeUndefined();
}

/** How a visitor's stream ends when the target ends the response by `cut`. */
async function endAfter(cut: Cut, method: Method, requested: Asked, recorders?: Recorders): Promise<string> {
  const visitor = await frameVisitor(await edge({ '/': requested.to }, recorders && { recorders }));
  visitor.send(...ASKS[method]);
  await half(visitor);
  cut(requested.connections.at(-1)!);
  await expect.poll(() => visitor.end(1)).toBeDefined();
  return visitor.end(1)!;
}

const BROKEN = 'RST_STREAM(2)';
const both = <T extends object>(rows: T[]) =>
  METHODS.flatMap((method) => rows.map((row) => ({ method, ...row })));

describe('a response that lasts until the connection closes', () => {
  it.each(both([{ head: UNTIL_CLOSE }, { head: OLD }]))(
    'is complete with close_notify: $method, $head',
    async ({ method, head }) => {
      const requested = await target(head, 'announces');
      expect(await endAfter(NOTIFY, method, requested)).toBe('END_STREAM');
      expect(requested.questions).toEqual([]);
    },
  );

  it.each(
    both([
      { head: UNTIL_CLOSE, what: 'FIN', cut: FIN },
      { head: OLD, what: 'FIN', cut: FIN },
      { head: UNTIL_CLOSE, what: 'FIN in a record', cut: IN_A_RECORD },
      { head: UNTIL_CLOSE, what: 'RST', cut: RST },
    ]),
  )('is reset without it: $method, $what, $head', async ({ method, head, cut }) => {
    const recorders = new Recorders();
    expect(await endAfter(cut, method, await target(head, 'announces'), recorders)).toBe(BROKEN);
    expect((await settled(recorders.store, 1)).outcome).toBe('broken');
  });

  it.each(both([{ head: UNTIL_CLOSE }, { head: OLD }]))(
    'is complete without it if the target never sends it: $method, $head',
    async ({ method, head }) => {
      expect(await endAfter(FIN, method, await target(head, 'does not'))).toBe('END_STREAM');
    },
  );

  it.each(both<{ manners: Manners }>([{ manners: 'stays open' }, { manners: 'is down' }]))(
    'is reset without it if the target does not show whether it sends it: $method, $manners',
    async ({ method, manners }) => {
      expect(await endAfter(FIN, method, await target(UNTIL_CLOSE, manners))).toBe(BROKEN);
    },
  );

  it('makes the agent probe the target once', async () => {
    const requested = await target(UNTIL_CLOSE, 'does not');
    const at = await edge({ '/': requested.to });
    for (let i = 1; i <= 3; i++) {
      const visitor = await frameVisitor(at);
      visitor.send(...ASKS.GET);
      await half(visitor);
      FIN(requested.connections.at(-1)!);
      await expect.poll(() => visitor.end(1)).toBe('END_STREAM');
    }
    expect(requested.questions).toHaveLength(1);
  });

  it('has no last chunk over HTTP/1.1', async () => {
    for (const [manners, isWhole] of [
      ['announces', false],
      ['does not', true],
    ] as const) {
      const requested = await target(UNTIL_CLOSE, manners);
      const socket = await connectTo(await edge({ '/': requested.to }));
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
      await expect.poll(() => text).toContain(HALF);
      FIN(requested.connections[0]!);
      await closed;
      expect(text.endsWith('\r\n0\r\n\r\n')).toBe(isWhole);
    }
  });
});

it.each(
  both([
    { what: 'Content-Length, close_notify', head: LENGTH, cut: NOTIFY },
    { what: 'Content-Length, FIN', head: LENGTH, cut: FIN },
    { what: 'Content-Length, RST', head: LENGTH, cut: RST },
    { what: 'chunked, close_notify', head: CHUNKED, cut: NOTIFY },
    { what: 'chunked, FIN', head: CHUNKED, cut: FIN },
    { what: 'chunked, FIN in a record', head: CHUNKED, cut: IN_A_RECORD },
    { what: 'chunked, RST', head: CHUNKED, cut: RST },
  ]),
)('half a response of another kind is always reset: $method, $what', async ({ method, head, cut }) => {
  const requested = await target(head, 'does not');
  expect(await endAfter(cut, method, requested)).toBe(BROKEN);
  expect(requested.questions).toEqual([]);
});

it('a complete response of another kind may end without close_notify', async () => {
  for (const method of METHODS) {
    const requested = await target('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n', 'announces');
    const visitor = await frameVisitor(await edge({ '/': requested.to }));
    visitor.send(...ASKS[method]);
    await half(visitor);
    requested.connections[0]!.tls.write('\n');
    await expect.poll(() => visitor.end(1)).toBe('END_STREAM');
    FIN(requested.connections[0]!);
    expect(requested.questions).toEqual([]);
  }
});
