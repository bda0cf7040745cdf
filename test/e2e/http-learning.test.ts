import { createServer as createH1, type Server as H1Server } from 'node:http';
import { createServer as createH2, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { ask, askH2, edge, h2Visitor, type Edge } from '../support/http-edge.js';

/** Which version of HTTP a target speaks is known before a request that cannot be sent twice. */

interface Target {
  readonly port: number;
  readonly bodies: string[];
  stop(): Promise<void>;
}

async function start(kind: 'h1' | 'h2', port = 0): Promise<Target> {
  const bodies: string[] = [];
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
            response.end('h1');
          });
        }).on('connection', keep)
      : createH2().on('session', keep);
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
  return { port: (server.address() as AddressInfo).port, bodies, stop };
}

const post = (at: Edge, body = 'once') => ask(at, '/', { method: 'POST', body });
const answerOf = async (answer: Promise<{ status: number; body: string }>) => {
  const { status, body } = await answer;
  return status === 200 ? body : status;
};

it('a target of HTTP/2 alone that is asked by POST first', async () => {
  for (const method of ['POST', 'PATCH', 'PUT']) {
    const target = await start('h2');
    const at = await edge({ '/': target.port });
    expect(await answerOf(ask(at, '/', { method, body: 'once' }))).toBe('h2');
    expect(target.bodies).toEqual([`${method} once`]);
  }
});

it('and by a POST without a body, over both versions', async () => {
  const target = await start('h2');
  expect(await answerOf(post(await edge({ '/': target.port }), ''))).toBe('h2');
  const visitor = await h2Visitor(await edge({ '/': target.port }));
  expect(await answerOf(askH2(visitor, { ':path': '/', ':method': 'POST' }, 'x'))).toBe('h2');
  expect(target.bodies).toEqual(['POST ', 'POST x']);
});

it('and one that is started after visitors found it down, by the first POST', async () => {
  const former = await start('h1');
  const { port } = former;
  await former.stop();
  const at = await edge({ '/': port });
  await at.protocols.learn(at.spec().target);
  expect(await answerOf(post(at))).toBe(503);
  const target = await start('h2', port);
  expect(await answerOf(post(at))).toBe('h2');
  expect(target.bodies).toEqual(['POST once']);
});

it.each<['h1' | 'h2', 'h1' | 'h2']>([
  ['h1', 'h2'],
  ['h2', 'h1'],
])('a target of %s that is down for a moment and comes back as %s', async (before, after) => {
  const first = await start(before);
  const at = await edge({ '/': first.port });
  expect(await answerOf(post(at))).toBe(before);
  await first.stop();
  // The first may have met a kept-alive connection that was closed just then.
  expect([502, 503]).toContain(await answerOf(post(at)));
  const second = await start(after, first.port);
  expect(await answerOf(post(at))).toBe(after);
  expect(second.bodies).toEqual(['POST once']);
});

it('a target of HTTP/1.1 in the place of one of HTTP/2, which nobody saw go', async () => {
  const first = await start('h2');
  const at = await edge({ '/': first.port });
  expect(await answerOf(post(at))).toBe('h2');
  await first.stop();
  const second = await start('h1', first.port);
  expect(await answerOf(post(at))).toBe('h1');
  expect(await answerOf(ask(at, '/'))).toBe('h1');
  expect(second.bodies).toEqual(['POST once', 'GET ']);
});

it('a target of HTTP/2 in the place of one of HTTP/1.1, which nobody saw go: a GET is sent again', async () => {
  const first = await start('h1');
  const at = await edge({ '/': first.port });
  expect(await answerOf(ask(at, '/'))).toBe('h1');
  await at.protocols.learn(at.spec().target);
  await first.stop();
  await start('h2', first.port);
  expect(await answerOf(ask(at, '/'))).toBe('h2');
});

it('and a POST fails, for it may have been heard, and the next one does not', async () => {
  const first = await start('h1');
  const at = await edge({ '/': first.port });
  expect(await answerOf(post(at))).toBe('h1');
  await first.stop();
  await start('h2', first.port);
  expect(await answerOf(post(at))).toBe(502);
  expect(await answerOf(post(at))).toBe('h2');
});
