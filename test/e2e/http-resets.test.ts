import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import {
  DATA,
  END_HEADERS,
  fields,
  frame,
  frameVisitor,
  type FrameVisitor,
  HEADERS,
  PING,
  POST,
  rstStream,
  SETTINGS,
} from '../support/h2-frames.js';
import { ask, edge } from '../support/http-edge.js';
import { respond, type Exchange } from '../../src/agent/modes/http/exchange/exchange.js';
import { OPEN } from '../../src/agent/modes/http/ask-gates.js';
import { temporaryFolder } from '../support/folder.js';
import { uncaught } from '../support/uncaught.js';

const [ACK, WINDOW_UPDATE] = [1, 8];

/** Visitors of HTTP/2 who cancel a request without an error, while the agent has not read all of its body. */

it('tells a request whose body is not read that its visitor has cancelled it without an error', async () => {
  const asked: Exchange[] = [];
  const cancelled: Exchange[] = [];
  const keep = (exchange: Exchange): Promise<undefined> => {
    asked.push(exchange);
    exchange.onDisconnect(() => cancelled.push(exchange));
    // Somebody reads it, and waits.
    exchange.body?.on('data', () => undefined).pause();
    return new Promise(() => undefined);
  };
  const at = await edge({ '/': 1 }, { gates: { ...OPEN, ask: keep } });
  const visitor = await frameVisitor(at);
  visitor.send(frame(HEADERS, END_HEADERS, 1, fields(POST)), frame(DATA, 0, 1, Buffer.alloc(100)));
  await expect.poll(() => asked.length).toBe(1);
  visitor.send(rstStream(1, 0));
  await expect.poll(() => cancelled.length).toBe(1);
  respond(asked[0]!, 200, 'OK', [], 'nobody reads this');
  expect(asked[0]!.begun).toBe(false);
});

/** More than a target with a Unix socket takes without reading, including the buffer of the agent. */
const UPLOAD_BYTES = 2_000_000;
const CHUNK = Buffer.alloc(16_000);
const [WINDOW_BYTES, FIRST_WINDOW_BYTES] = [1024 * 1024, 65_535];

/** Starts a POST, and sends the beginning of its body as its windows allow (RFC 9113, section 5.2). */
async function upload(visitor: FrameVisitor, bytes: number): Promise<void> {
  await expect.poll(() => visitor.frames.some(({ type }) => type === SETTINGS)).toBe(true);
  visitor.send(frame(SETTINGS, ACK, 0), frame(HEADERS, END_HEADERS, 1, fields(POST)));
  const opened = (id: number): number =>
    visitor.frames
      .filter(({ type, stream }) => type === WINDOW_UPDATE && stream === id)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  let sent = 0;
  await expect
    .poll(() => {
      const window = Math.min(FIRST_WINDOW_BYTES + opened(0), WINDOW_BYTES + opened(1));
      for (; sent < bytes && sent + CHUNK.length <= window; sent += CHUNK.length)
        visitor.send(frame(DATA, 0, 1, CHUNK));
      return sent;
    })
    .toBeGreaterThanOrEqual(bytes);
}

const AFTER: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['responds', (socket) => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n')],
  ['closes the connection', (socket) => socket.end()],
  ['is silent', () => undefined],
];

it.each(AFTER)('survives a target that %s after the upload was cancelled', async (_, behave) => {
  const crashes = uncaught();
  let uploading: Socket | undefined;
  let isClosed = false;
  // The system buffers less of a Unix socket, so most of the body waits in the agent.
  const path = join(await temporaryFolder(), 'app.sock');
  const server = createServer((socket) => {
    socket
      .on('error', () => undefined)
      .once('data', (head: Buffer) => {
        if (head.toString('latin1').startsWith('POST')) uploading = socket.pause();
        else if (!head.includes('/silent')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
  }).listen(path);
  onTestFinished(() => {
    uploading?.destroy();
    server.close();
  });
  const at = await edge({ '/': `unix:${path}` }, { bounds: { responseMs: 500 } });
  const visitor = await frameVisitor(at);
  await upload(visitor, UPLOAD_BYTES);
  await expect.poll(() => uploading !== undefined && at.handler.traffic().bytesIn > UPLOAD_BYTES).toBe(true);
  uploading!.once('close', () => (isClosed = true));
  visitor.send(rstStream(1, 0), frame(PING, 0, 0, Buffer.alloc(8)));
  // The cancellation has arrived then.
  await expect.poll(() => visitor.frames.some(({ type }) => type === PING)).toBe(true);
  behave(uploading!);
  // Its timeout is later than that of the upload.
  expect((await ask(at, '/silent')).status).toBe(504);
  uploading!.resume();
  await expect.poll(() => isClosed || crashes.length > 0).toBe(true);
  expect((await ask(at, '/')).body).toBe('ok');
  expect(crashes).toEqual([]);
});
