import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { deferred } from '../../../../lib/wait.js';
import type { Asker } from './h1-connection.js';
import { H1Connections } from './h1-connections.js';
import { HTTP_LIMITS, type HttpLimits } from '../limits.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** A target that passes each request, as text, with its connection to `respond`. */
async function target(respond: (socket: Socket, text: string) => void) {
  const sockets: Socket[] = [];
  const closed: Promise<unknown>[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    closed.push(once(socket, 'close'));
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => respond(socket, bytes.toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets, closed };
}

function connectionsTo(port: number, limits: Partial<HttpLimits> = {}): H1Connections {
  const dial = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  const connections = new H1Connections(dial, { ...HTTP_LIMITS, ...limits });
  onTestFinished(() => connections.destroy());
  return connections;
}

function asker(method = 'GET') {
  const [sent, outcome] = [deferred<() => void>(), deferred<string>()];
  let body = '';
  const state = { isOver: false };
  const receiver: Asker = {
    method,
    head: `${method} / HTTP/1.1\r\nHost: a\r\n\r\n`,
    get isOver() {
      return state.isOver;
    },
    onSent: (cancel) => sent.resolve(cancel),
    onInterim: (status) => (body += `${status} `),
    onHead: ({ status }) => (body += `${status} `),
    onData: (chunk) => (body += chunk.toString()) !== '',
    onDrain: () => undefined,
    onEnd: () => outcome.resolve(body),
    onConnectionEnd: () => outcome.resolve(`${body} at the end of the connection`),
    onFailed: (error) => outcome.resolve(`${error.constructor.name} after ${body}`),
  };
  return { receiver, state, sent: sent.promise, outcome: outcome.promise };
}

function ask(connections: H1Connections, method?: string): Promise<string> {
  const { receiver, outcome } = asker(method);
  connections.send(receiver);
  return outcome;
}

it('sends the next request on the same connection', async () => {
  const { port, sockets } = await target((socket) => socket.write(OK));
  const connections = connectionsTo(port);
  for (let i = 0; i < 3; i++) expect(await ask(connections)).toBe('200 ok');
  expect(sockets).toHaveLength(1);
});

it.each([
  ['HEAD', OK.slice(0, -2)],
  ['GET', OK.replace('\r\n', '\r\nConnection: close\r\n')],
  ['GET', OK.replace('\r\n', '\r\nKeep-Alive: timeout=1\r\n')],
  ['GET', `${OK}${OK}`],
])('closes the connection after %s and %j', async (method, response) => {
  const { port, sockets, closed } = await target((socket) => socket.write(response));
  const connections = connectionsTo(port);
  expect(await ask(connections, method)).toMatch(/^200 /);
  await closed[0];
  const { receiver, sent } = asker();
  connections.send(receiver);
  await sent;
  await vi.waitFor(() => expect(sockets).toHaveLength(2));
});

it('closes an idle connection on which the target speaks', async () => {
  const { port, sockets, closed } = await target((socket) => socket.write(OK));
  const connections = connectionsTo(port);
  await ask(connections);
  sockets[0]!.write(OK);
  await closed[0];
  expect(await ask(connections)).toBe('200 ok');
});

it.each([
  ['responds', {}, 4_500],
  ['responds, with a limit', { keepAliveMs: 1_000 }, 1_500],
])('closes an idle connection to a target that %s', async (_, limits, ms) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const { port, sockets, closed } = await target((socket) => socket.write(OK));
  const connections = connectionsTo(port, limits);
  await ask(connections);
  vi.advanceTimersByTime(ms / 2);
  expect(await ask(connections)).toBe('200 ok');
  expect(sockets).toHaveLength(1);
  vi.advanceTimersByTime(ms);
  await closed[0];
});

it.each([
  ['a head', '', 10_000, 'SilentError after '],
  ['the next part of a body', OK.slice(0, -1), 50_000, 'UpstreamError after 200 o'],
])('limits the wait for %s', async (_, text, ms, expected) => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const { port } = await target((socket) => text !== '' && socket.write(text));
  const connections = connectionsTo(port, { responseMs: 10_000, stalledMs: 50_000 });
  const { receiver, sent, outcome } = asker();
  const begun = deferred<void>();
  connections.send({ ...receiver, onData: (chunk) => receiver.onData(chunk) && (begun.resolve(), true) });
  await sent;
  if (text !== '') await begun.promise;
  vi.advanceTimersByTime(ms - 1_000);
  const early = await Promise.race([outcome, Promise.resolve('none yet')]);
  expect(early).toBe('none yet');
  vi.advanceTimersByTime(1_500);
  expect(await outcome).toBe(expected);
});

it('opens no more connections than there are visitors who wait', async () => {
  const { port, sockets } = await target((socket) => socket.write(OK));
  const connections = connectionsTo(port);
  for (let i = 0; i < 20; i++) {
    const { receiver, state } = asker();
    connections.send(receiver);
    state.isOver = true;
  }
  expect(await ask(connections)).toBe('200 ok');
  expect(sockets).toHaveLength(1);
});

it('cancels only its own request', async () => {
  const { port, sockets } = await target((socket) => socket.write(OK));
  const connections = connectionsTo(port);
  const { receiver, sent, outcome } = asker();
  connections.send(receiver);
  const cancel = await sent;
  await outcome;
  const next = ask(connections);
  cancel();
  expect(await next).toBe('200 ok');
  expect(sockets).toHaveLength(1);
});

it.each([
  ['closes', (socket: Socket) => socket.end()],
  ['resets', (socket: Socket) => socket.resetAndDestroy()],
])('knows whether a target that %s may have closed an earlier connection', async (_, end) => {
  let isFirst = true;
  const { port } = await target((socket) => (isFirst ? socket.write(OK) : end(socket)));
  const connections = connectionsTo(port);
  await ask(connections);
  isFirst = false;
  const errors: unknown[] = [];
  for (let i = 0; i < 2; i++) {
    const { receiver, outcome } = asker();
    const failed = deferred<void>();
    connections.send({
      ...receiver,
      onFailed: (error) => {
        errors.push(error);
        failed.resolve();
      },
    });
    await Promise.race([failed.promise, outcome]);
  }
  expect(errors).toMatchObject([{ isStale: true }, { isStale: false }]);
});

it.each([
  ['a head', 'HTTP/1.1 200 OK\r\nContent-', 'Error after '],
  ['a body', OK.slice(0, -1), 'UpstreamError after 200 o'],
])('reports the end of the connection within %s', async (_, text, expected) => {
  const { port } = await target((socket) => socket.end(text));
  expect(await ask(connectionsTo(port))).toMatch(expected);
});

it('fails what waits when it is destroyed', async () => {
  const { port } = await target(() => undefined);
  const connections = connectionsTo(port);
  const { receiver, sent, outcome } = asker();
  connections.send(receiver);
  const dialling = ask(connections);
  await sent;
  connections.destroy();
  expect(await outcome).toBe('NoResponseError after ');
  expect(await dialling).toMatch(/Error after $/);
});
