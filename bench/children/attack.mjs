import { randomBytes } from 'node:crypto';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { modulesOf } from '../lib/built.mjs';
import { options, tell } from './lib.mjs';

/**
 * Keeps `count` hostile connections open to a relay, from `sources` addresses, and reopens those that the relay closes:
 *   idle     send nothing                        half     send half a ClientHello
 *   slow     send one header every 1.5 s         control  open a control channel and prove nothing
 *   hello    open a control channel, solve the relay's proof of work, send hello, and prove nothing
 *   proof    the same, and sign the challenge with a wrong signature
 *   signIn   request challenges, and send a wrong signature for each
 * Each address is in a different /16 while there are enough of them.
 */

const { root, kind, count, sources, port, perSecond = 1_000 } = options;
const { CONTROL_SUBPROTOCOL: subprotocol, PROTOCOL_VERSION } = await import(
  `${modulesOf(root)}/protocol/limits.js`
);
const { solveWork, readWork } = await import(`${modulesOf(root)}/protocol/work.js`);
const HOST = 'localhost';
const TICK_MS = 50;
const SLOW_MS = 1_500;
const ADDRESS = `0x${'ab'.repeat(20)}`;

let opened = 0;
let closed = 0;
let missing = count;
let next = 0;

/** A record that announces 512 bytes and has 200. */
function halfHello() {
  const hello = Buffer.alloc(205);
  Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).copy(hello);
  return hello;
}

const controlHead = () =>
  [
    'GET /v1/control HTTP/1.1',
    `Host: ${HOST}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Protocol: ${subprotocol}`,
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    '',
    '',
  ].join('\r\n');

function post(path, fields) {
  const body = JSON.stringify(fields);
  return `POST ${path} HTTP/1.1\r\nHost: ${HOST}:${port}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function signIn(socket) {
  const challenge = () =>
    socket.write(
      post('/v1/sign-in/challenge', { address: ADDRESS, relayNonce: randomBytes(16).toString('hex') }),
    );
  socket.on('data', (chunk) => {
    const [, nonce] = /"nonce":"([^"]+)"/.exec(chunk.toString('latin1')) ?? [];
    if (nonce) socket.write(post('/v1/sign-in', { nonce, signature: `0x${'1b'.repeat(65)}` }));
    else challenge();
  });
  challenge();
}

/** A client's message, with a mask that may be zero. */
function frame(message) {
  const text = Buffer.from(JSON.stringify(message));
  const head = Buffer.from([0x81, 0xfe, text.length >> 8, text.length & 255, 0, 0, 0, 0]);
  return Buffer.concat([head, text]);
}

const hello = (work) => ({
  type: 'hello',
  protocol: PROTOCOL_VERSION,
  agent: { instance: 'attack', version: 'bench' },
  address: ADDRESS,
  nonce: 'ab'.repeat(16),
  ...(work !== undefined && { work }),
});

const over = new AbortController().signal;

/** Sends hello after the upgrade, and `answer` after the challenge. */
function control(socket, answer) {
  let said = '';
  let isGreeted = false;
  socket.on('data', async (chunk) => {
    said += chunk.toString('latin1');
    if (!isGreeted && said.includes('\r\n\r\n')) {
      isGreeted = true;
      const work = readWork(/^portal-work: (.*)$/im.exec(said)?.[1].trim());
      socket.write(frame(hello(work && (await solveWork(work, over)))));
    } else if (answer && said.includes('"challenge"')) {
      said = '';
      socket.write(frame(answer));
    }
  });
  socket.write(controlHead());
}

const ACTS = {
  idle: () => undefined,
  half: (socket) => socket.write(halfHello()),
  slow(socket) {
    socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n`);
    const timer = setInterval(() => socket.write('X-A: b\r\n'), SLOW_MS);
    socket.once('close', () => clearInterval(timer));
  },
  control: (socket) => socket.write(controlHead()),
  hello: (socket) => control(socket),
  proof: (socket) => control(socket, { type: 'prove', signature: `0x${'1b'.repeat(65)}` }),
  signIn,
};

function open() {
  const source = next++ % sources;
  const localAddress = `127.${1 + (source % 250)}.${1 + Math.floor(source / 250)}.1`;
  const at = { host: '127.0.0.1', port, localAddress };
  const isPlain = kind === 'idle' || kind === 'half';
  const socket = isPlain
    ? connectPlain(at)
    : connectTls({ ...at, servername: HOST, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  socket.once(isPlain ? 'connect' : 'secureConnect', () => {
    opened++;
    ACTS[kind](socket);
  });
  socket.on('error', () => undefined);
  socket.resume().once('close', () => {
    closed++;
    missing++;
  });
}

setInterval(() => {
  for (let left = Math.min(missing, (perSecond * TICK_MS) / 1000); left >= 1; left--) {
    missing--;
    open();
  }
}, TICK_MS);
setInterval(() => tell({ opened, closed }), 500);
