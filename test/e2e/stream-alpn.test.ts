import { createServer as createHttp2, connect as connectHttp2 } from 'node:http2';
import { createServer as createHttp, type IncomingMessage } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTcp } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { TargetProtocols } from '../../src/agent/target/target-protocols.js';
import { parseTarget } from '../../src/net/target/target.js';
import { grpcClient, grpcService } from '../support/grpc.js';
import { log } from '../support/log.js';
import {
  agent,
  desired,
  get,
  httpService,
  readAll,
  relay,
  service,
  tcpService,
  visit,
} from '../support/world.js';

const BOTH = ['h2', 'http/1.1'];
const NO_PROTOCOL = { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' };

async function published(target: number | string, over: Parameters<typeof service>[2] = {}) {
  const at = await relay();
  const { runner, ca, event } = await agent();
  const spec = service('web', target, { alpn: 'auto', ...over });
  await runner.apply(desired([at.spec], spec));
  await event('lease', ({ phase }) => phase === 'ready');
  return {
    at,
    ca,
    event,
    visit: (alpn?: string[]) => visit(at, 'web.localhost', ca, { ALPNProtocols: alpn }),
    retarget: (next: number | string) =>
      runner.apply(desired([at.spec], { ...spec, target: parseTarget(next) })),
  };
}

/** An HTTP/2 server without TLS, which also accepts HTTP/1.1 on the same port if `alsoH1`. */
async function h2cService({ alsoH1 = false, port = 0 } = {}): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const h2 = createHttp2((_request, response) => void response.end('over h2'));
  const h1 = createHttp((_request, response) => void response.end('over h1'));
  h2.on('sessionError', () => undefined);
  const front = createTcp((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.once('data', (chunk) => {
      const server: Server = alsoH1 && !chunk.toString('latin1').startsWith('PRI ') ? h1 : h2;
      socket.pause();
      server.emit('connection', socket);
      socket.unshift(chunk);
      if (server === h1) socket.resume();
    });
  });
  await new Promise<void>((resolve) => front.listen(port, '127.0.0.1', resolve));
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    front.close();
  };
  onTestFinished(close);
  return { port: (front.address() as AddressInfo).port, close };
}

async function overH2(socket: Awaited<ReturnType<typeof visit>>): Promise<string> {
  const session = connectHttp2('https://web.localhost', { createConnection: () => socket });
  onTestFinished(() => session.destroy());
  return (await readAll(session.request({ ':path': '/' }) as never)).toString();
}

describe('a server of HTTP/1.1', () => {
  it('never receives HTTP/2 from a visitor', async () => {
    const seen: string[] = [];
    const { port } = await httpService((request: IncomingMessage, response) => {
      seen.push(request.httpVersion);
      response.end('ok');
    });
    const { visit: arrive, at, ca } = await published(port);
    expect((await arrive(BOTH)).alpnProtocol).toBe('http/1.1');
    await expect(arrive(['h2'])).rejects.toMatchObject(NO_PROTOCOL);
    expect((await get(at, 'web.localhost', ca)).status).toBe(200);
    // The server's parser rejected the probe.
    expect(seen).toEqual(['1.1']);
  });

  it('accepts visitors without ALPN, and those that offer HTTP/1.0', async () => {
    const { port } = await httpService((_request, response) => void response.end('ok'));
    const { visit: arrive } = await published(port);
    const silent = await arrive(undefined);
    expect(silent.alpnProtocol).toBe(false);
    silent.write('GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n');
    expect(String(await readAll(silent))).toContain('ok');
    expect((await arrive(['http/1.0'])).alpnProtocol).toBe('http/1.0');
    expect((await arrive(['http/1.0', 'http/1.1'])).alpnProtocol).toBe('http/1.1');
  });

  it('is probed once, however many visitors come', async () => {
    const said: string[] = [];
    const port = await tcpService((socket) => {
      socket.once('data', (chunk: Buffer) => {
        said.push(chunk.toString('latin1').slice(0, 3));
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      });
    });
    const { at, ca } = await published(port);
    for (let each = 0; each < 3; each += 1) expect((await get(at, 'web.localhost', ca)).status).toBe(200);
    expect(said).toEqual(['PRI', 'GET', 'GET', 'GET']);
  });

  it('is not probed if `alpn` sets the offer', async () => {
    const said: string[] = [];
    const port = await tcpService((socket) => {
      socket.once('data', (chunk: Buffer) => {
        said.push(chunk.toString('latin1').slice(0, 3));
        socket.end();
      });
    });
    const { visit: arrive } = await published(port, { alpn: ['x-own'] });
    const visitor = await arrive(['x-own', 'http/1.1']);
    expect(visitor.alpnProtocol).toBe('x-own');
    visitor.write('own');
    await readAll(visitor);
    expect(said).toEqual(['own']);
  });
});

describe('an HTTP/2 server without TLS', () => {
  it('gets visitors who offer h2; if it speaks only h2, others are rejected', async () => {
    const { port } = await h2cService();
    const { visit: arrive } = await published(port);
    expect(await overH2(await arrive(BOTH))).toBe('over h2');
    await expect(arrive(['http/1.1'])).rejects.toMatchObject(NO_PROTOCOL);
  });

  it('that also accepts HTTP/1.1 gets both', async () => {
    const { port } = await h2cService({ alsoH1: true });
    const { visit: arrive, at, ca } = await published(port);
    expect(await overH2(await arrive(BOTH))).toBe('over h2');
    expect((await get(at, 'web.localhost', ca)).text).toContain('over h1');
  });

  it('is detected after it was down, and when the target changes', async () => {
    const plain = await httpService((_request, response) => void response.end('ok'));
    const { port } = await h2cService({ alsoH1: true });
    const { visit: arrive, retarget, at, ca } = await published(plain.port);
    expect((await arrive(BOTH)).alpnProtocol).toBe('http/1.1');
    await retarget(port);
    expect((await arrive(BOTH)).alpnProtocol).toBe('h2');
    await retarget(plain.port);
    expect((await arrive(BOTH)).alpnProtocol).toBe('http/1.1');
    await plain.close();
    expect((await get(at, 'web.localhost', ca)).status).toBe(503);
    await h2cService({ alsoH1: true, port: plain.port });
    await expect.poll(async () => (await arrive(BOTH)).alpnProtocol, { interval: 200 }).toBe('h2');
  });

  it('that was missing when the lease opened is detected by its first visitor', async () => {
    const first = await h2cService();
    first.close();
    const { visit: arrive } = await published(first.port);
    expect((await arrive(BOTH)).alpnProtocol).toBe('http/1.1');
    await h2cService({ port: first.port });
    await expect.poll(async () => (await arrive(BOTH)).alpnProtocol, { interval: 200 }).toBe('h2');
  });
});

it('serves gRPC: unary, both streamings, both together, errors and trailers', async () => {
  const { port } = await grpcService();
  const { at, ca } = await published(port);
  const client = grpcClient(at, 'web.localhost', ca);
  expect(await client.unary('hello')).toEqual({ text: 'you said hello', trailer: 'seen' });
  expect(await client.gather(['a', 'b', 'c'])).toBe('abc');
  expect(await client.scatter('xyz')).toEqual(['x', 'y', 'z']);
  expect(await client.chat(['one', 'two'])).toEqual(['ONE', 'TWO']);
  await expect(client.unary('fail')).rejects.toMatchObject({ code: 9, details: 'as asked' });
  const text = 'x'.repeat(3_000_000);
  expect((await client.unary(text)).text).toHaveLength(text.length + 9);
});

describe('TargetProtocols', () => {
  it('probes once for concurrent callers, and not again soon while the target is down', async () => {
    let connections = 0;
    const port = await tcpService((socket) => {
      connections += 1;
      socket.end();
    });
    const protocols = new TargetProtocols(() => ({}), log);
    const target = parseTarget(port);
    expect(protocols.speaks(target)).toBeUndefined();
    expect(await Promise.all([protocols.detect(target), protocols.detect(target)])).toEqual(['h1', 'h1']);
    expect(await protocols.detect(target)).toBe('h1');
    expect(connections).toBe(1);
    const nowhere = parseTarget(1);
    expect(await protocols.detect(nowhere)).toBeUndefined();
    expect(protocols.mustProbe(nowhere)).toBe(false);
  });

  it('treats silence as no, after a timeout', async () => {
    const protocols = new TargetProtocols(() => ({}), log);
    expect(await protocols.detect(parseTarget(await tcpService(() => undefined)))).toBe('h1');
  });

  it.each([
    ['an acknowledgement', '000000040100000000'],
    ['a frame of another kind', '000000060000000000'],
    ['a length that fits no setting', '000005040000000000'],
    ['a stream of its own', '000000040000000001'],
    ['less than a frame', '00000004'],
  ])('does not accept %s as HTTP/2', async (_what, hex) => {
    const port = await tcpService((socket) => socket.end(Buffer.from(hex, 'hex')));
    expect(await new TargetProtocols(() => ({}), log).detect(parseTarget(port))).toBe('h1');
  });
});
