import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import {
  ask,
  connectTo,
  edge,
  h2Visitor,
  HOST,
  raw,
  rawTarget,
  VISITOR,
  type Edge,
} from '../support/http-edge.js';

/** A WebSocket service that echoes, and first sends the request that it received. */
async function echo(): Promise<{ port: number; server: WebSocketServer }> {
  const http = createServer((_request, response) => response.end('page'));
  const server = new WebSocketServer({ server: http, handleProtocols: ([first]) => first ?? false });
  server.on('connection', (socket, request) => {
    const { url, headers } = request;
    socket.send(JSON.stringify({ url, for: headers['x-forwarded-for'], cookie: headers.cookie }));
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    http.closeAllConnections();
    http.close();
  });
  return { port: (http.address() as AddressInfo).port, server };
}

/** Passed to Node's TLS, but missing in the types of `ws`. */
const SNI: object = { servername: HOST };

async function open(
  at: Edge,
  path: string,
  options: object = {},
): Promise<{ socket: WebSocket; hello: unknown }> {
  const socket = new WebSocket(`wss://127.0.0.1:${at.port}${path}`, ['chat'], {
    ca: at.ca.certificatePem,
    ...SNI,
    headers: { host: at.host, cookie: 'a=b' },
    ...options,
  });
  onTestFinished(() => socket.terminate());
  socket.on('error', () => undefined);
  const [hello] = (await once(socket, 'message')) as [Buffer];
  return { socket, hello: JSON.parse(hello.toString()) };
}

const upgradeTo = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;

it('keeps its method when it requests another protocol', async () => {
  const { port, received } = await rawTarget('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  const at = await edge({ '/': port });
  await ask(at, '/x', { method: 'DELETE', headers: { connection: 'Upgrade', upgrade: 'foo' } });
  expect(received.at(-1)).toMatch(/^DELETE \/x HTTP\/1.1\r\n/);
  await raw(at, `POST /y HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n`);
  expect(received.at(-1)).toMatch(/^POST \/y HTTP\/1.1\r\n[^]*\r\nContent-Length: 0\r\n[^]*\r\n\r\n$/);
});

describe('a WebSocket', () => {
  it('uses its route in both directions, with texts and bytes of any size, until either side closes it', async () => {
    const { port } = await echo();
    const at = await edge({ '/': 1, '/live': port });
    const { socket, hello } = await open(at, '/live/x?y=1');
    expect(hello).toEqual({ url: '/x?y=1', for: VISITOR, cookie: 'a=b' });
    expect(socket.protocol).toBe('chat');
    for (const message of ['ping', Buffer.alloc(3_000_000, 7)]) {
      socket.send(message);
      const [answer] = (await once(socket, 'message')) as [Buffer];
      expect(answer.equals(Buffer.from(message))).toBe(true);
    }
    socket.close(4001, 'enough');
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([4001, 'enough']);
    await expect.poll(() => at.handler.traffic().visitors).toBe(0);
  });

  it('of a visitor who disconnects silently ends at the service, and vice versa', async () => {
    const { port, server } = await echo();
    const at = await edge({ '/': port });
    const first = await open(at, '/');
    const gone = Promise.all([...server.clients].map((client) => once(client, 'close')));
    first.socket.terminate();
    await gone;
    const second = await open(at, '/');
    for (const client of server.clients) client.terminate();
    const [code] = (await once(second.socket, 'close')) as [number];
    expect(code).toBe(1006);
  });

  it('survives a change of its route', async () => {
    const { port } = await echo();
    const at = await edge({ '/': port });
    const { socket } = await open(at, '/');
    at.update({ '/': 1 });
    socket.send('still there');
    const [answer] = (await once(socket, 'message')) as [Buffer];
    expect(answer.toString()).toBe('still there');
    expect((await ask(at, '/')).status).toBe(503);
  });

  it('works over HTTP/2, as in RFC 8441', async () => {
    const { port } = await echo();
    const at = await edge({ '/live': port });
    const visitor = await h2Visitor(at);
    expect(visitor.remoteSettings.enableConnectProtocol).toBe(true);
    const stream = visitor.request(
      {
        ':method': 'CONNECT',
        ':protocol': 'websocket',
        ':path': '/live/x',
        'sec-websocket-version': '13',
        'sec-websocket-protocol': 'chat',
      },
      { endStream: false },
    );
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(headers).toMatchObject({ ':status': 200, 'sec-websocket-protocol': 'chat' });
    expect(headers).not.toHaveProperty('sec-websocket-accept');
    const frames: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => frames.push(chunk));
    // A masked text frame, with a mask of zeros.
    stream.write(Buffer.concat([Buffer.from([0x81, 0x84, 0, 0, 0, 0]), Buffer.from('ping')]));
    await expect.poll(() => Buffer.concat(frames).toString('latin1').endsWith('\x81\x04ping')).toBe(true);
    stream.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
  });

  it('that the service rejects is an ordinary response, and a service that is down returns a page', async () => {
    const target = await rawTarget('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno');
    const at = await edge({ '/': target.port, '/down': 1 });
    const refused = await raw(at, upgradeTo('/'));
    expect(refused).toMatch(/^HTTP\/1\.1 401 [\s\S]*\r\n\r\nno$/);
    expect(target.received[0]).toMatch(/connection: upgrade\r\nupgrade: websocket\r\n/i);
    expect(await raw(at, upgradeTo('/down'))).toMatch(/^HTTP\/1\.1 503 /);
  });
});

describe('another protocol', () => {
  it('is joined byte for byte, with half-closes, and with bytes that arrive together with the request', async () => {
    const target = await rawTarget((received, socket) => {
      if (received.endsWith('\r\n\r\n')) {
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own/1\r\n\r\nfirst',
        );
      } else if (received.endsWith('\r\n\r\nearlylate')) socket.end('last');
    });
    const at = await edge({ '/': target.port });
    const socket = await connectTo(at);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: own/1\r\n\r\nearly`);
    await expect.poll(() => text).toMatch(/^HTTP\/1\.1 101 [\s\S]*\r\n\r\nfirst$/);
    socket.write('late');
    await once(socket, 'end');
    expect(text).toMatch(/firstlast$/);
  });

  it.each(['h2c', 'HTTP/2.0', 'TLS/1.2'])('%s is ignored: the target never sees it', async (protocol) => {
    const target = await rawTarget('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const at = await edge({ '/': target.port });
    const answer = await raw(
      at,
      `GET / HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(target.received.join('')).not.toMatch(/upgrade|http2-settings|PRI \*/i);
  });
});
