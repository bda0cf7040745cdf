import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  goaway,
  HEADERS,
  PING,
  PREFACE,
  rstStream,
  SETTINGS,
} from '../support/h2-frames.js';
import { ask, edge } from '../support/http-edge.js';

/** Targets whose HTTP/2 connections end before they processed a request. */

const OPENING = frame(SETTINGS, 0, 0);
const REFUSED_STREAM = 7;

type Behaviour = (socket: Socket, connection: number) => void;

/** `onHttp2` has each HTTP/2 connection that is not a probe, and its number. */
async function target(
  onHttp2: Behaviour,
): Promise<{ port: number; becomeH1(): void; connections(): number }> {
  let isH1 = false;
  let connections = 0;
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on('error', () => undefined).on('close', () => open.delete(socket));
    socket.on('end', () => socket.end());
    socket.once('data', (chunk: Buffer) => {
      const isPreface = chunk.subarray(0, 14).equals(PREFACE.subarray(0, 14));
      if (isH1 && isPreface) socket.destroy();
      else if (isH1) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh1');
      // As servers of HTTP/2 respond to HTTP/1.1.
      else if (!isPreface) socket.end(Buffer.concat([OPENING, goaway(0, 1)]));
      // A probe sends no settings.
      else if (chunk.length <= PREFACE.length + OPENING.length) socket.write(OPENING);
      else onHttp2(socket, ++connections);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, becomeH1: () => (isH1 = true), connections: () => connections };
}

type Answer = (stream: number, isLast: boolean) => Buffer | undefined;

/** Calls `answer` for each frame that begins or ends a request. */
function onRequests(socket: Socket, answer: Answer): void {
  socket.write(OPENING);
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at + 9 <= chunk.length; at += 9 + chunk.readUIntBE(at, 3)) {
      const [type, flags, stream] = [chunk[at + 3], chunk[at + 4]!, chunk.readUInt32BE(at + 5)];
      if (type !== HEADERS && type !== DATA) continue;
      const bytes = answer(stream, (flags & END_STREAM) !== 0);
      if (bytes) socket.write(bytes);
    }
  });
}

const ok: Answer = (stream, isLast) =>
  isLast ? frame(HEADERS, END_STREAM | END_HEADERS, stream, Buffer.from([0x88])) : undefined;

describe('a request that the target did not process is sent again', () => {
  it.each([{ method: 'GET' }, { method: 'POST', body: 'a small body' }])(
    'after GOAWAY before its stream: %j',
    async (request) => {
      const h2 = await target((socket, connection) =>
        onRequests(socket, connection === 1 ? () => goaway(0, 0) : ok),
      );
      const at = await edge({ '/': h2.port });
      expect((await ask(at, '/', request)).status).toBe(200);
      expect(h2.connections()).toBe(2);
    },
  );

  it('after REFUSED_STREAM, on the same connection', async () => {
    const h2 = await target((socket) =>
      onRequests(socket, (stream, isLast) =>
        stream === 1 ? rstStream(1, REFUSED_STREAM) : ok(stream, isLast),
      ),
    );
    const at = await edge({ '/': h2.port });
    expect((await ask(at, '/', { method: 'POST', body: 'a small body' })).status).toBe(200);
    expect(h2.connections()).toBe(1);
  });

  it('once: a target that refuses everything gets no more', async () => {
    const h2 = await target((socket) => onRequests(socket, (stream) => rstStream(stream, REFUSED_STREAM)));
    const at = await edge({ '/': h2.port });
    expect((await ask(at, '/')).status).toBe(502);
  });

  it('not after another error, because the target may have processed it', async () => {
    const h2 = await target((socket, connection) =>
      onRequests(socket, connection === 1 ? () => goaway(1, 2) : ok),
    );
    const at = await edge({ '/': h2.port });
    expect((await ask(at, '/')).status).toBe(502);
    expect(h2.connections()).toBe(1);
  });
});

it.each<[string, Buffer]>([
  ['GOAWAY without an error', goaway(0, 0)],
  ['GOAWAY with an error', goaway(0, 1)],
  ['GOAWAY of a later stream', goaway(2 ** 31 - 1, 0)],
  ['a frame of stream 0 that needs a stream', frame(DATA, 0, 0, Buffer.from('x'))],
  ['an invalid setting', frame(SETTINGS, 0, 0, Buffer.from([0, 5, 0, 0, 0, 1]))],
  ['PING with a wrong length', frame(PING, 0, 0, Buffer.alloc(3))],
])('an HTTP/1.1 server replaces it at once, after SETTINGS and %s', async (_, ending) => {
  const h2 = await target((socket) => void socket.write(Buffer.concat([OPENING, ending])));
  const at = await edge({ '/': h2.port });
  expect((await ask(at, '/')).status).toBe(502);
  h2.becomeH1();
  for (let visit = 0; visit < 3; visit++) expect((await ask(at, '/')).status).toBe(200);
});
