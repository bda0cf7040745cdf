import { createSocket } from 'node:dgram';
import { connect as connectH2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { resetSocket } from '../../src/net/splice/reset.js';
import { fields, frame, goaway, PREFACE, rstStream, windowUpdate } from './h2-frames.js';
import { pick, someBytes, type Random } from './rude-target.js';

/** A visitor who gives up after this long. */
const PATIENCE_MS = 250;

const REQUESTS = (host: string): readonly string[] => [
  `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(20),
  `GET /files/%2e%2e/%00?\xff HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `GET http://[::/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `GET * HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `OPTIONS * HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `GET //\\\\@: HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `GET /%zz HTTP/1.1\r\nHost: ${host}\r\nCookie: =;;a=%zz\r\nAuthorization: Basic \xff\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Basic ${Buffer.from('a:b').toString('base64')}\r\nRange: bytes=9-1,-0\r\nIf-Modified-Since: never\r\n\r\n`,
  `GET /?portal_share=%zz.%00 HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: ${host}:99999999\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: \xff\r\n\r\n`,
  `GET / HTTP/1.1\r\n\r\n`,
  `GET / HTTP/1.0\r\n\r\n`,
  `HEAD / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `CONNECT ${host}:443 HTTP/1.1\r\nHost: ${host}\r\n\r\nbytes`,
  `TRACE / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\nshort`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 3\r\n\r\nlonger than promised`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nExpect: odd\r\nContent-Length: 0\r\n\r\n`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nTrailer: x-a\r\n\r\n1\r\na\r\n0\r\nX-A: \x01\r\n\r\n`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: 1\r\nContent-Length: 4\r\n\r\n`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc`,
  `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 100000\r\n\r\n${'a'.repeat(100_000)}`,
  `POST /pin HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\npin=%zz%0`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x82\x00\x00\x00\x00hi`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: \r\nConnection: upgrade,,;\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-For: \xff\r\nForwarded: for="\x01"\r\nVia: \xe9\r\nX-Odd: \x80\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\nReferer: http://[\r\nOrigin: null://\r\nAccept-Encoding: ;q=\r\nAccept: ;;\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: ${host}\r\n${Array.from({ length: 2_000 }, (_, i) => `X-${i}: a\r\n`).join('')}\r\n`,
  `GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
  'GET',
  '',
  '\x00'.repeat(1_000),
];

function h2Bytes(random: Random, host: string): Buffer {
  let stream = -1;
  const head = (method: string, more: readonly (readonly [string, string])[] = []) =>
    fields([
      [':method', method],
      [':scheme', 'https'],
      [':path', pick(random, ['/', '*', '/%zz', 'http://[', ''])],
      [':authority', pick(random, [host, host, host, '\xff', ''])],
      ...more,
    ]);
  const odd = [
    ['te', 'trailers'],
    ['connection', 'close'],
    ['upgrade', 'x'],
    ['content-length', '5'],
    ['content-length', '-1'],
    ['expect', '100-continue'],
    [':protocol', 'websocket'],
    ['x-latin', '\xe9'],
    ['cookie', '=;;'],
    ['host', 'other'],
    ['trailer', 'x'],
    ['X-Upper', '1'],
    ['x', '\x00'],
  ] as const;
  const kinds: (() => Buffer)[] = [
    () =>
      frame(
        1,
        pick(random, [4, 5, 5, 5]),
        (stream += 2),
        head(
          pick(random, ['GET', 'POST', 'HEAD', 'CONNECT', 'G\x01', '']),
          random() < 0.5 ? [] : [pick(random, odd), pick(random, odd)],
        ),
      ),
    () => frame(1, 5, (stream += 2), head('GET')),
    () => frame(0, pick(random, [0, 1]), Math.max(1, stream), someBytes(random, 3_000)),
    () => rstStream(Math.max(1, stream), Math.floor(random() * 14)),
    () => windowUpdate(pick(random, [0, Math.max(1, stream)]), pick(random, [0, 1, 2 ** 31 - 1])),
    () => goaway(0, Math.floor(random() * 14)),
    () => frame(1, 5, Math.max(1, stream), fields([['x-trailer', '1'], pick(random, odd)])),
    () => frame(6, pick(random, [0, 1]), 0, Buffer.alloc(8)),
    () =>
      frame(
        4,
        0,
        0,
        pick(random, [
          Buffer.from([0, 4, 0, 0, 0, 0]),
          Buffer.from([0, 5, 0, 0, 0, 1]),
          Buffer.from([0, 3, 0, 0, 0, 0]),
          Buffer.from([0, 4, 0xff, 0xff, 0xff, 0xff]),
        ]),
      ),
    () =>
      frame(
        pick(random, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99]),
        Math.floor(random() * 256),
        pick(random, [0, 1, 2, 3]),
        someBytes(random, 30),
      ),
  ];
  const count = 1 + Math.floor(random() * 12);
  return Buffer.concat([
    PREFACE,
    frame(4, 0, 0),
    ...Array.from({ length: count }, () => pick(random, kinds)()),
  ]);
}

/** Ends a connection in one of the ways in which connections end. */
function leave(socket: Socket, random: Random): void {
  const way = random();
  if (way < 0.5) resetSocket(socket);
  else if (way < 0.7) socket.end();
  else if (way < 0.85) socket.destroy();
}

/** Resolves once the connection is closed, or the visitor gives up. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined);
  return settled(socket, () => resetSocket(socket));
}

/** Resolves at the event `close`, or when `giveUp` was called. */
function settled(
  connection: { once(event: 'close', then: () => void): unknown },
  giveUp: () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      giveUp();
      resolve();
    }, PATIENCE_MS);
    connection.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Sends `bytes`, in one piece or two, and leaves at a time that `random` chooses. */
function say(socket: Socket, bytes: Buffer, random: Random): void {
  const cut = random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length;
  socket.write(bytes.subarray(0, cut));
  if (cut < bytes.length) setImmediate(() => socket.writable && socket.write(bytes.subarray(cut)));
  const way = random();
  if (way < 0.2) leave(socket, random);
  else if (way < 0.4) setImmediate(leave, socket, random);
  else if (way < 0.8) socket.once('data', () => leave(socket, random));
  if (way >= 0.95) socket.pause();
  else socket.resume();
}

/** Visits a service behind a hostname over TLS. */
export function visitRudely(port: number, host: string, ca: string, random: Random): Promise<void> {
  if (random() < 0.1) return greetRudely(port, random);
  const alpn = pick(random, [['http/1.1'], ['http/1.1'], ['h2'], ['h2', 'http/1.1'], undefined]);
  if (alpn?.[0] === 'h2' && random() < 0.4) return visitInStreams(port, host, ca, random);
  const below = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  below.on('error', () => undefined);
  const socket = connectTls({ socket: below, servername: host, ca, ...(alpn && { ALPNProtocols: alpn }) });
  const whole = closed(socket);
  if (random() < 0.1) below.once('connect', () => setImmediate(leave, below, random));
  socket.once('secureConnect', () => {
    const isH2 = socket.alpnProtocol === 'h2';
    const bytes =
      isH2 || random() < 0.05 ? h2Bytes(random, host) : Buffer.from(pick(random, REQUESTS(host)), 'latin1');
    if (random() < 0.05) return leave(random() < 0.5 ? below : socket, random);
    say(socket, bytes, random);
    // The connection below TLS may end at any time, too.
    if (random() < 0.15) setImmediate(leave, below, random);
  });
  return whole;
}

/** Sends bytes that are not TLS, or the start of a handshake. */
function greetRudely(port: number, random: Random): Promise<void> {
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  const whole = closed(socket);
  socket.once('connect', () =>
    say(
      socket,
      pick(random, [
        () => someBytes(random, 300),
        () => Buffer.concat([Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]), someBytes(random, 250)]),
        () => Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        () => PREFACE,
      ])(),
      random,
    ),
  );
  return whole;
}

/** Node's own HTTP/2 client, with streams that end in several ways. */
function visitInStreams(port: number, host: string, ca: string, random: Random): Promise<void> {
  const session = connectH2(`https://127.0.0.1:${port}`, { servername: host, ca });
  session.on('error', () => undefined);
  const count = 1 + Math.floor(random() * 8);
  session.once('connect', () => {
    if (session.destroyed) return;
    for (let i = 0; i < count; i++) {
      const method = pick(random, ['GET', 'POST', 'HEAD', 'PUT']);
      const stream = session.request(
        { ':method': method, ':path': `/${i}`, ':authority': host },
        { endStream: false },
      );
      stream.on('error', () => undefined).resume();
      if (random() < 0.5) stream.write(someBytes(random, 5_000));
      const way = random();
      const stop = (): void => {
        if (random() < 0.5) stream.close(Math.floor(random() * 14));
        else stream.destroy();
      };
      if (way < 0.2) stop();
      else if (way < 0.4) setImmediate(stop);
      else if (way < 0.6) stream.once('response', stop);
      else stream.end();
    }
    const way = random();
    if (way < 0.2) session.goaway(Math.floor(random() * 14));
    else if (way < 0.4) setImmediate(() => session.destroy());
    else if (way < 0.6) session.close();
  });
  return settled(session, () => session.destroy());
}

/** Visits a TCP port. */
export function visitPortRudely(port: number, random: Random): Promise<void> {
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  const whole = closed(socket);
  if (random() < 0.1) leave(socket, random);
  socket.once('connect', () =>
    say(
      socket,
      random() < 0.5 ? someBytes(random, 3_000) : Buffer.from(pick(random, REQUESTS('x')), 'latin1'),
      random,
    ),
  );
  return whole;
}

/** Sends datagrams to a UDP port. */
export function sendRudely(port: number, random: Random): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('error', () => undefined);
  const count = 1 + Math.floor(random() * 20);
  return new Promise((resolve) => {
    let left = count;
    for (let i = 0; i < count; i++) {
      const size = pick(random, [0, 1, 100, 1_400, 9_000, 60_000]);
      socket.send(Buffer.alloc(size, i), port, '127.0.0.1', () => {
        if (--left > 0) return;
        socket.close();
        resolve();
      });
    }
  });
}
