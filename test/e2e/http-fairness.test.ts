import type { ClientHttp2Session } from 'node:http2';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ask, askH2, connectTo, edge, h2Visitor, HOST, raw, type Edge } from '../support/http-edge.js';
import { eventually } from '../support/eventually.js';
import { httpService } from '../support/world.js';

/** Visitors of one service share the target's capacity: a visitor with many open requests does not block others. */

const ATTACKER = '203.0.113.7';
const VISITOR = '198.51.100.1';
const AT_TARGET = 8;

const target = async (listener: RequestListener): Promise<number> => (await httpService(listener)).port;

/** Responds to GET immediately, and to other methods when the body is complete. */
const reading = (): Promise<number> =>
  target((request, response) => {
    if (request.method === 'GET') response.end('ok');
    else request.resume().once('end', () => response.end('done'));
  });

/** Keeps `count` requests with endless bodies open on `session`, and replaces each that ends. */
function hold(session: ClientHttp2Session, count: number): { readonly open: number; readonly ended: number } {
  const held = { open: 0, ended: 0 };
  const one = (): void => {
    if (session.destroyed || session.closed) return;
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': HOST });
    held.open++;
    stream.on('error', () => undefined).resume();
    stream.once('response', () => stream.close());
    stream.once('close', () => {
      held.open--;
      held.ended++;
      setImmediate(one);
    });
    stream.write('x');
  };
  for (let i = 0; i < count; i++) one();
  return held;
}

const status = async (at: Edge, session: ClientHttp2Session): Promise<number> =>
  (await askH2(session, { ':path': '/', ':authority': at.host })).status;

describe('a visitor is served while another holds every slot at the target', () => {
  const cases = [
    ['of another address', ATTACKER, VISITOR],
    ['of another /64 of IPv6', '2001:db8:0:1::1', '2001:db8:0:2::1'],
    ['of the same address, as behind a proxy, on another connection', ATTACKER, ATTACKER],
  ] as const;
  it.each(cases)('%s', async (_, attacker, visitor) => {
    let from: string = attacker;
    const bounds = { maxAtTarget: AT_TARGET };
    const at = await edge({ '/': await reading() }, { bounds, visitor: () => from });
    const attack = await h2Visitor(at);
    const held = hold(attack, AT_TARGET);
    await eventually(async () => {
      expect(await status(at, attack)).toBe(503);
    });
    from = visitor;
    const session = await h2Visitor(at);
    for (let i = 0; i < 50; i++) expect(await status(at, session)).toBe(200);
    expect((await ask(at, '/')).status).toBe(200);
    // The attacker is still connected, and keeps sending requests.
    expect(attack.destroyed).toBe(false);
    expect(held.open).toBeGreaterThan(0);
    expect(held.ended).toBeGreaterThan(0);
  });
});

it('addresses of one /64 share one quota', async () => {
  let host = 1;
  const bounds = { maxAtTarget: AT_TARGET };
  const visitor = (): string => `2001:db8:0:1::${(host++).toString(16)}`;
  const at = await edge({ '/': await reading() }, { bounds, visitor });
  const sessions = await Promise.all(Array.from({ length: AT_TARGET }, () => h2Visitor(at)));
  for (const session of sessions) hold(session, 1);
  await eventually(async () => {
    expect(await status(at, await h2Visitor(at))).toBe(503);
  });
});

it('a single visitor may use all slots, and keeps them', async () => {
  const bounds = { maxAtTarget: AT_TARGET };
  const at = await edge({ '/': await reading() }, { bounds });
  const session = await h2Visitor(at);
  const held = hold(session, AT_TARGET);
  await eventually(async () => {
    expect(await status(at, session)).toBe(503);
  });
  expect(held).toEqual({ open: AT_TARGET, ended: 0 });
});

describe('a request whose body stalls', () => {
  const bounds = { bodyMs: 1_500, lingerMs: 100 };

  it('gets a 408 over HTTP/1.1, and its connection closes', async () => {
    const at = await edge({ '/': await reading() }, { bounds });
    const words = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 10\r\n\r\nabc`;
    expect(await raw(at, words)).toMatch(
      /^HTTP\/1\.1 408 Request Timeout\r\n(?:.*\r\n)*Connection: close\r\n/,
    );
  });

  it('gets a 408 over HTTP/2, and its stream is reset without an error', async () => {
    const at = await edge({ '/': await reading() }, { bounds });
    const session = await h2Visitor(at);
    const stream = session.request({ ':method': 'POST', ':path': '/', ':authority': at.host });
    stream.write('abc');
    const answered = new Promise((resolve) => stream.once('response', (head) => resolve(head[':status'])));
    const closed = new Promise((resolve) => stream.once('close', () => resolve(stream.rstCode)));
    stream.resume();
    expect(await answered).toBe(408);
    expect(await closed).toBe(0);
    // The connection still works.
    expect(await status(at, session)).toBe(200);
  });

  it('is truncated when the response has begun, and stalls as well', async () => {
    const port = await target((_request, response) => response.write('begun'));
    const at = await edge({ '/': port }, { bounds });
    const words = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 10\r\n\r\nabc`;
    const answer = await raw(at, words);
    expect(answer).toContain('begun');
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  it('continues while a started response arrives', async () => {
    const port = await target((request, response) => {
      request.resume();
      let left = 10;
      const tick = setInterval(() => {
        response.write('tick');
        if (--left > 0) return;
        clearInterval(tick);
        response.end('done');
      }, bounds.bodyMs / 3);
    });
    const at = await edge({ '/': port }, { bounds });
    const words = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 10\r\n\r\nabc`;
    expect(await raw(at, words)).toContain('done');
  });

  it('is not the visitor’s fault if the target reads nothing', async () => {
    // A body that exceeds all buffers on the path.
    const body = Buffer.alloc(24 * 1024 * 1024);
    const port = await target((request, response) => {
      setTimeout(() => {
        request.resume().once('end', () => response.end('late'));
      }, bounds.bodyMs * 4);
    });
    const at = await edge({ '/': port }, { bounds });
    expect(await ask(at, '/', { method: 'POST', body })).toMatchObject({ status: 200, body: 'late' });
  });

  it('does not time out while the target has not requested the body', async () => {
    const port = await target(() => undefined);
    const server = createServer();
    server.on('checkContinue', (request, response) => {
      setTimeout(() => {
        response.writeContinue();
        request.resume().once('end', () => response.end('done'));
      }, bounds.bodyMs * 3);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const at = await edge({ '/': (server.address() as AddressInfo).port, '/x': port }, { bounds });
    const socket = await connectTo(at);
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      if (received === '') socket.write('abc');
      received += chunk.toString();
    });
    socket.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n`);
    await eventually(() => expect(received).toMatch(/^HTTP\/1\.1 100 .*HTTP\/1\.1 200 /s));
  });
});

const endless = (): Promise<number> =>
  target((request, response) => {
    if (request.url !== '/endless') {
      response.end('ok');
      return;
    }
    const chunk = Buffer.alloc(256 * 1024);
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  });

describe('a response that its visitor does not read', () => {
  it('is reset over HTTP/2, and the connection keeps working', async () => {
    const at = await edge({ '/': await endless() }, { bounds: { sendMs: 300 } });
    const session = await h2Visitor(at);
    const stream = session.request({ ':path': '/endless', ':authority': at.host });
    stream.on('error', () => undefined);
    const closed = new Promise((resolve) => stream.once('close', () => resolve(stream.rstCode)));
    stream.once('response', () => stream.pause());
    // The client reports an end only for what it has read.
    stream.once('aborted', () => stream.resume());
    expect(await closed).not.toBe(0);
    expect(await status(at, session)).toBe(200);
  });

  it('is truncated over HTTP/1.1', async () => {
    const at = await edge({ '/': await endless() }, { bounds: { sendMs: 300 } });
    const socket = await connectTo(at);
    await eventually(() => expect(at.handler.traffic().visitors).toBe(1));
    socket.pause();
    socket.write(`GET /endless HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await eventually(() => expect(at.handler.traffic().visitors).toBe(0));
  });
});
