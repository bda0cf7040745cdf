import { once } from 'node:events';
import { createServer as createH1, type Server as H1Server } from 'node:http';
import {
  createSecureServer as createSecure,
  createServer as createH2,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer as createTcp, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { temporaryFolder } from '../support/folder.js';
import { frame, SETTINGS } from '../support/h2-frames.js';
import { ask, askH2, edge, h2Visitor, type Edge } from '../support/http-edge.js';

/** The agent learns a target's HTTP version before a request that cannot be repeated. */

interface Target {
  readonly port: number;
  readonly bodies: string[];
  /** HTTP/2 connections so far. */
  readonly sessions: number;
  stop(): Promise<void>;
}

async function start(
  kind: 'h1' | 'h2',
  port = 0,
  answerHeaders: Record<string, string> = {},
): Promise<Target> {
  const bodies: string[] = [];
  let sessions = 0;
  const open = new Set<Socket | ServerHttp2Session>();
  const keep = (one: Socket | ServerHttp2Session): void => {
    open.add(one);
    one.once('close', () => open.delete(one));
    one.on('error', () => undefined);
  };
  const server: H1Server | ReturnType<typeof createH2> =
    kind === 'h1'
      ? createH1((request, response) => {
          let body = '';
          request.on('data', (chunk: Buffer) => (body += chunk.toString()));
          request.on('end', () => {
            bodies.push(`${request.method} ${body}`);
            response.writeHead(200, answerHeaders).end('h1');
          });
        }).on('connection', keep)
      : createH2().on('session', (session) => {
          sessions++;
          keep(session);
        });
  if (kind === 'h2')
    (server as ReturnType<typeof createH2>).on('stream', (stream, headers) => {
      let body = '';
      stream.on('error', () => undefined);
      stream.on('data', (chunk: Buffer) => (body += chunk.toString()));
      stream.on('end', () => {
        bodies.push(`${headers[':method']} ${body}`);
        stream.respond({ ':status': 200 });
        stream.end('h2');
      });
    });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    for (const one of open) one.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  onTestFinished(() => stop().catch(() => undefined));
  return {
    port: (server.address() as AddressInfo).port,
    bodies,
    get sessions() {
      return sessions;
    },
    stop,
  };
}

const post = (at: Edge, body = 'once') => ask(at, '/', { method: 'POST', body });
const answerOf = async (answer: Promise<{ status: number; body: string }>) => {
  const { status, body } = await answer;
  return status === 200 ? body : status;
};

it('a target with HTTP/2 only that first receives a POST', async () => {
  for (const method of ['POST', 'PATCH', 'PUT']) {
    const target = await start('h2');
    const at = await edge({ '/': target.port });
    expect(await answerOf(ask(at, '/', { method, body: 'once' }))).toBe('h2');
    expect(target.bodies).toEqual([`${method} once`]);
  }
});

it('and a POST without a body, over both versions', async () => {
  const target = await start('h2');
  expect(await answerOf(post(await edge({ '/': target.port }), ''))).toBe('h2');
  const visitor = await h2Visitor(await edge({ '/': target.port }));
  expect(await answerOf(askH2(visitor, { ':path': '/', ':method': 'POST' }, 'x'))).toBe('h2');
  expect(target.bodies).toEqual(['POST ', 'POST x']);
});

it('and one that starts after visitors found it down, with a POST first', async () => {
  const former = await start('h1');
  const { port } = former;
  await former.stop();
  const at = await edge({ '/': port });
  await at.protocols.detect(at.spec().target);
  expect(await answerOf(post(at))).toBe(503);
  const target = await start('h2', port);
  expect(await answerOf(post(at))).toBe('h2');
  expect(target.bodies).toEqual(['POST once']);
});

it.each<['h1' | 'h2', 'h1' | 'h2']>([
  ['h1', 'h2'],
  ['h2', 'h1'],
])('a target of %s that is briefly down and returns as %s', async (before, after) => {
  const first = await start(before);
  const at = await edge({ '/': first.port });
  expect(await answerOf(post(at))).toBe(before);
  await first.stop();
  // The first may use a kept-alive connection that was just closed.
  expect([502, 503]).toContain(await answerOf(post(at)));
  const second = await start(after, first.port);
  expect(await answerOf(post(at))).toBe(after);
  expect(second.bodies).toEqual(['POST once']);
});

it('HTTP/1.1 replaces HTTP/2 on a target, unnoticed', async () => {
  const first = await start('h2');
  const at = await edge({ '/': first.port });
  expect(await answerOf(post(at))).toBe('h2');
  await first.stop();
  const second = await start('h1', first.port);
  expect(await answerOf(post(at))).toBe('h1');
  expect(await answerOf(ask(at, '/'))).toBe('h1');
  expect(second.bodies).toEqual(['POST once', 'GET ']);
});

it('HTTP/2 replaces HTTP/1.1 on a target, unnoticed: a GET is sent again', async () => {
  const first = await start('h1');
  const at = await edge({ '/': first.port });
  expect(await answerOf(ask(at, '/'))).toBe('h1');
  await at.protocols.detect(at.spec().target);
  await first.stop();
  await start('h2', first.port);
  expect(await answerOf(ask(at, '/'))).toBe('h2');
});

/** An HTTP/1.1 target that responded to a POST, and then another target on its port. */
async function replaced(next: (port: number) => Promise<unknown>): Promise<Edge> {
  // A kept-alive connection could receive the next request while it closes.
  const first = await start('h1', 0, { Connection: 'close' });
  const at = await edge({ '/': first.port });
  expect(await answerOf(post(at))).toBe('h1');
  await first.stop();
  await next(first.port);
  return at;
}

it('and a POST is sent again, because an HTTP/2-only target did not process it', async () => {
  for (const body of ['once', '', 'x'.repeat(64 * 1024)]) {
    let second: Target | undefined;
    const at = await replaced(async (port) => (second = await start('h2', port)));
    expect(await answerOf(post(at, body))).toBe('h2');
    expect(await answerOf(post(at, body))).toBe('h2');
    expect(second?.bodies).toEqual([`POST ${body}`, `POST ${body}`]);
  }
});

it('and a body that is still arriving reaches it completely', async () => {
  let second: Target | undefined;
  const at = await replaced(async (port) => (second = await start('h2', port)));
  const visitor = await h2Visitor(at);
  const stream = visitor.request({ ':path': '/', ':method': 'POST', 'x-sum': '1' });
  stream.write('once ');
  // The second HTTP/2 connection: the first was the probe.
  await expect.poll(() => second?.sessions).toBeGreaterThan(1);
  stream.end('upon a time');
  let answer = '';
  stream.on('data', (chunk: Buffer) => (answer += chunk.toString()));
  await once(stream, 'end');
  expect(answer).toBe('h2');
  expect(second?.bodies).toEqual(['POST once upon a time']);
});

it('and a POST larger than the buffer fails, but the next one works', async () => {
  let second: Target | undefined;
  const at = await replaced(async (port) => (second = await start('h2', port)));
  const visitor = await h2Visitor(at);
  const stream = visitor.request({ ':path': '/', ':method': 'POST' });
  const headers = once(stream, 'response');
  stream.on('error', () => undefined);
  stream.write(Buffer.alloc(64 * 1024 + 1));
  expect((await headers)[0]).toMatchObject({ ':status': 502 });
  expect(await answerOf(post(at))).toBe('h2');
  expect(second?.bodies).toEqual(['POST once']);
});

it('and a POST whose connection just closes is never sent again', async () => {
  const received: string[] = [];
  let isH2 = false;
  const at = await replaced(async (port) => {
    const server = createTcp((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (chunk: Buffer) => {
        const text = chunk.toString('latin1');
        received.push(text.slice(0, 4));
        // Whatever happens to the request, from now on the target accepts only HTTP/2.
        if (isH2 && text.startsWith('PRI ')) socket.end(frame(SETTINGS, 0, 0));
        else socket.destroy();
        isH2 = true;
      });
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
  });
  expect(await answerOf(post(at))).toBe(502);
  expect(received).toEqual(['POST']);
});

it('and an https target that no longer accepts HTTP/1.1 gets HTTP/2', async () => {
  const certificate = await (await openLocalCa(await temporaryFolder())).issue(['localhost']);
  const sockets = new Set<Socket>();
  const bodies: string[] = [];
  const listen = async (allowHTTP1: boolean, port = 0) => {
    const server = createSecure({ ...certificate, allowHTTP1 }, (request, response) => {
      request.on('data', (chunk: Buffer) => bodies.push(`${request.httpVersion} ${chunk.toString()}`));
      request.on('end', () =>
        response
          .writeHead(200, request.httpVersion === '1.1' ? { Connection: 'close' } : {})
          .end(request.httpVersion),
      );
    }).on('secureConnection', (socket) => void sockets.add(socket));
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    return server;
  };
  const first = await listen(true);
  const { port } = first.address() as AddressInfo;
  const at = await edge({ '/': `https://127.0.0.1:${port}` });
  expect(await answerOf(post(at))).toBe('1.1');
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => first.close(() => resolve()));
  await listen(false, port);
  expect(await answerOf(post(at))).toBe('2.0');
  expect(bodies).toEqual(['1.1 once', '2.0 once']);
  for (const socket of sockets) socket.destroy();
});
