import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { once } from 'node:events';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { frame, goaway, PREFACE, rstStream, windowUpdate } from './h2-frames.js';
import { caFolder } from './ca-pool.js';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { resetSocket } from '../../src/net/splice/reset.js';
import { temporaryFolder } from './folder.js';

/** Numbers between 0 and 1 that a seed determines (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Random = () => number;
export const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
export const someBytes = (random: Random, most: number): Buffer =>
  Buffer.from(Array.from({ length: 1 + Math.floor(random() * most) }, () => Math.floor(random() * 256)));

const ok = 'HTTP/1.1 200 OK\r\n';
const GREETING = `${ok}Content-Length: 6\r\n\r\npolite`;
/** Odd and broken responses of HTTP/1.1. */
const RESPONSES: readonly string[] = [
  GREETING,
  `${ok}Content-Length: 10\r\n\r\nshort`,
  `${ok}Content-Length: 2\r\n\r\nlonger than promised`,
  `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456`,
  `${ok}Content-Length: -1\r\n\r\nx`,
  `${ok}Content-Length: 99999999999999999999\r\n\r\nx`,
  `${ok}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\na\r\n0\r\n\r\n`,
  `${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc`,
  `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nab`,
  `${ok}Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n1\r\na\r\n0\r\nX-A: \x01\x02\r\nContent-Length: 4\r\n\r\n`,
  `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n:status: 200\r\nconnection: close\r\n\r\n`,
  `${ok}Transfer-Encoding: gzip, chunked\r\nContent-Encoding: gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  `${ok}Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc`,
  `${ok}Content-Type: text/event-stream\r\n\r\ndata: 1\n\n`,
  'HTTP/1.1 100 Continue\r\n\r\n'.repeat(500) + GREETING,
  'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'.repeat(50) + GREETING,
  'HTTP/1.1 102 Processing\r\nContent-Length: 3\r\n\r\n' + GREETING,
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi',
  'HTTP/1.1 101 Switching Protocols\r\n\r\nhello',
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\n',
  'HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody',
  'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
  'HTTP/1.1 199 Odd\r\n\r\n' + GREETING,
  'HTTP/1.1 099 Low\r\n\r\n',
  'HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 600 Beyond\r\nContent-Length: 1\r\n\r\nx',
  'HTTP/1.1 1000 Long\r\n\r\n',
  'HTTP/1.1 200\r\n\r\nno reason',
  'HTTP/1.1 200 \x01\x7f\xff\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.0 200 OK\r\n\r\nto the end',
  'HTTP/0.9 200 OK\r\n\r\n',
  'HTTP/2.0 200 OK\r\n\r\n',
  'HTTP/1.1 200 OK\nContent-Length: 2\n\nok',
  `${ok}X-Odd: \x00\r\n\r\n`,
  `${ok}X-Latin: \xe9\xff\r\nContent-Length: 0\r\n\r\n`,
  `${ok}X-Tab:\t a\tb\r\nContent-Length: 0\r\n\r\n`,
  `${ok}: empty\r\nContent-Length: 0\r\n\r\n`,
  `${ok}Bad Name: 1\r\nContent-Length: 0\r\n\r\n`,
  `${ok}:path: /\r\nContent-Length: 0\r\n\r\n`,
  `${ok}X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n`,
  `${ok}Connection: close, X-A, te\r\nX-A: 1\r\nTE: trailers\r\nKeep-Alive: timeout=x\r\nContent-Length: 0\r\n\r\n`,
  `${ok}Connection: \x22,,,;\r\nUpgrade: \r\nProxy-Connection: x\r\nHTTP2-Settings: AAA\r\nContent-Length: 0\r\n\r\n`,
  `${ok}Set-Cookie: a=b\r\n`.padEnd(300, 'x') + '\r\nContent-Length: 0\r\n\r\n',
  ok + Array.from({ length: 3_000 }, (_, i) => `X-${i}: ${i}\r\n`).join('') + 'Content-Length: 0\r\n\r\n',
  `${ok}X-Long: ${'a'.repeat(200_000)}\r\nContent-Length: 0\r\n\r\n`,
  `${ok}Location: http://[::\r\nContent-Length: 0\r\n\r\n`,
  `${ok}Location: //\\@:99999\r\nSet-Cookie: =; Domain=;;Path\r\nDate: never\r\nContent-Length: 0\r\n\r\n`,
  'HTTP/1.1 301 Moved\r\nLocation: http://localhost:1/%zz?\xff#\x01\r\nContent-Length: 0\r\n\r\n',
  `${ok}Content-Type: \xff/\x80; charset="\r\nContent-Length: 1\r\n\r\nx`,
  'garbage',
  '\x15\x03\x01\x00\x02\x02\x28',
  'SSH-2.0-OpenSSH_9\r\n',
  '\x00'.repeat(100_000),
  ok,
  'H',
  '',
];

function h2Bytes(random: Random): Buffer {
  const settings = frame(4, 0, 0);
  const ack = frame(4, 1, 0);
  const kinds: (() => Buffer)[] = [
    () => goaway(Math.floor(random() * 5), Math.floor(random() * 14)),
    () => rstStream(pick(random, [0, 1, 1, 3, 2]), Math.floor(random() * 14)),
    () => windowUpdate(pick(random, [0, 1, 9]), pick(random, [0, 1, 2 ** 31 - 1])),
    () =>
      frame(
        pick(random, [0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 33]),
        Math.floor(random() * 64),
        pick(random, [0, 1, 2, 3]),
        someBytes(random, 40),
      ),
    // :status 200, literal and from the table; an index beyond the table; an empty block.
    () =>
      frame(
        1,
        pick(random, [4, 5]),
        1,
        pick(random, [
          Buffer.from([0x88]),
          Buffer.from([0xff, 0x80, 0x01]),
          Buffer.alloc(0),
          Buffer.from([0x08, 3, 0x39, 0x39, 0x39]),
          Buffer.from([0x08, 3, 0x31, 0x30, 0x31]),
        ]),
      ),
    () => frame(0, pick(random, [0, 1]), 1, someBytes(random, 2_000)),
    () => frame(5, 4, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), Buffer.from([0x82, 0x84, 0x87])])),
    () => frame(4, 0, 0, Buffer.from([0, 5, 0, 0, 0, 1])),
    () => frame(4, 0, 0, Buffer.from([0, 3, 0, 0, 0, 0])),
    () => frame(4, 0, 0, Buffer.from([0, 1, 0, 0, 0, 0])),
    () => frame(6, 0, 0, Buffer.alloc(8)),
  ];
  const count = Math.floor(random() * 6);
  return Buffer.concat([settings, ack, ...Array.from({ length: count }, () => pick(random, kinds)())]);
}

/** How a target behaves on one connection. */
function behave(socket: Socket, random: Random, isPolite: () => boolean): void {
  let isFirst = true;
  const end = (): void => {
    const way = random();
    if (way < 0.3) resetSocket(socket);
    else if (way < 0.5) socket.end();
    else if (way < 0.6) socket.destroy();
  };
  if (!isPolite()) {
    const way = random();
    if (way < 0.05) return resetSocket(socket);
    if (way < 0.08) return void socket.end();
    if (way < 0.12) socket.write(pick(random, RESPONSES), 'latin1');
  }
  socket.on('end', () => (isPolite() || random() < 0.7 ? socket.end() : undefined));
  socket.on('data', (chunk: Buffer) => {
    if (isPolite()) {
      if (chunk.subarray(0, 3).toString() === 'PRI') socket.destroy();
      else if (chunk.includes('\r\n\r\n')) socket.end(GREETING);
      return;
    }
    if (chunk.subarray(0, 14).equals(PREFACE.subarray(0, 14))) {
      if (random() < 0.2) return end();
      socket.write(h2Bytes(random));
      isFirst = false;
      if (random() < 0.3) end();
      return;
    }
    if (!isFirst && random() < 0.5) {
      socket.write(random() < 0.5 ? h2Bytes(random) : pick(random, RESPONSES), 'latin1');
      return end();
    }
    isFirst = false;
    if (random() < 0.1) return end();
    const text = Buffer.from(pick(random, RESPONSES), 'latin1');
    const cut = random() < 0.3 ? Math.floor(random() * text.length) : text.length;
    socket.write(text.subarray(0, cut));
    if (cut < text.length && random() < 0.5)
      setImmediate(() => socket.writable && socket.write(text.subarray(cut)));
    else if (random() < 0.6) setImmediate(end);
  });
}

export interface RudeTarget {
  /** By kind: what a service's `target` names. */
  readonly targets: {
    readonly port: number;
    readonly unix: string;
    readonly https: string;
    readonly h2: string;
  };
  /** From now on the target responds well. */
  readonly becomePolite: () => void;
}

/** A target that behaves badly in ways that `random` chooses. */
export async function rudeTarget(random: Random): Promise<RudeTarget> {
  let polite = false;
  const open = new Set<Socket>();
  const accept = (socket: Socket): void => {
    open.add(socket);
    socket.on('error', () => undefined).on('close', () => open.delete(socket));
    behave(socket, random, () => polite);
  };
  const { cert, key } = await (await openLocalCa(await caFolder())).issue(['localhost']);
  const path = join(await temporaryFolder(), 'rude.sock');
  const halfOpen = { allowHalfOpen: true };
  const servers: Server[] = [
    createTcp(halfOpen, accept).listen(0, '127.0.0.1'),
    createTcp(halfOpen, accept).listen(path),
    createTls({ ...halfOpen, cert, key, ALPNProtocols: ['http/1.1'] }, accept).listen(0, '127.0.0.1'),
    createTls({ ...halfOpen, cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, accept).listen(0, '127.0.0.1'),
  ];
  await Promise.all(servers.map((server) => once(server, 'listening')));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    for (const server of servers) server.close();
  });
  return {
    targets: {
      port: portOf(servers[0]!),
      unix: `unix:${path}`,
      https: `https://localhost:${portOf(servers[2]!)}`,
      h2: `https://localhost:${portOf(servers[3]!)}`,
    },
    becomePolite: () => (polite = true),
  };
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;
