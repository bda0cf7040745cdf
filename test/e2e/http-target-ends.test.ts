import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { Forwarding } from '../../src/agent/modes/http/forward.js';
import { HTTP_LIMITS } from '../../src/agent/modes/http/limits.js';
import { PlainRequests } from '../../src/agent/modes/http/targets/upstream-plain.js';
import { deferred } from '../../src/lib/wait.js';

/** The target closes its connection while a slow visitor still reads its response. */

/** A target that responds to the first request on each connection with `answer`. */
async function target(answer: string): Promise<{ port: number; first: Promise<Socket> }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(answer));
  });
  const first = once(server, 'connection').then(([socket]) => socket as Socket);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, first };
}

async function connectTo(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Lets this process read what has arrived on its other connections before. */
async function roundTrip(port: number): Promise<void> {
  const socket = await connectTo(port);
  socket.write('x');
  await once(socket, 'data');
}

/** A visitor that takes one part of the response at a time, and the next ones only after `read`. */
function slowVisitor() {
  const parts: string[] = [];
  const [reading, blocked, outcome] = [deferred<void>(), deferred<void>(), deferred<string>()];
  const forwarding: unknown = {
    exchange: { method: 'GET', target: '/', authority: 'a.localhost', headers: [], client: {} },
    route: { stripped: '', isForwarded: false },
    isOver: false,
    cancelWith: () => undefined,
    head: () => undefined,
    data: (chunk: Buffer) => parts.push(chunk.toString()) < 0,
    onDrain: (resume: () => void) => {
      blocked.resolve();
      void reading.promise.then(() => setImmediate(resume));
    },
    end: () => outcome.resolve(`whole: ${parts.join('')}`),
    endWithConnection: () => outcome.resolve(`until the end of the connection: ${parts.join('')}`),
    fail: (error: Error) => outcome.resolve(`${error.message} after ${parts.join('')}`),
  };
  return {
    forwarding: forwarding as Forwarding,
    read: () => reading.resolve(),
    blocked: blocked.promise,
    outcome: outcome.promise,
  };
}

it.each([
  ['is whole', 'Content-Length: 5', 'hello', '', 'whole: hello'],
  ['is whole, in two parts', 'Content-Length: 11', 'hello', ' world', 'whole: hello world'],
  ['is not whole', 'Content-Length: 6', 'hello', '', 'the response is incomplete after hello'],
  ['ends with the connection', 'Connection: close', 'hello', '', 'until the end of the connection: hello'],
  [
    'ends with the connection, in two parts',
    'Connection: close',
    'hello',
    ' world',
    'until the end of the connection: hello world',
  ],
])('tells a visitor that reads slowly that a response %s', async (_, field, begin, rest, expected) => {
  const { port, first } = await target(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n${begin}`);
  const requests = new PlainRequests(
    () => connectTo(port),
    HTTP_LIMITS,
    () => expect.unreachable(),
  );
  onTestFinished(() => requests.destroy());
  const { forwarding, read, blocked, outcome } = slowVisitor();
  requests.send(forwarding);
  await blocked;
  (await first).end(rest);
  await roundTrip(port);
  read();
  expect(await outcome).toBe(expected);
});
