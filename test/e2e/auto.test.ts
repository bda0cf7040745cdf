/** A service without a mode: its target decides how visitors are served. */
import { createServer as createHttp2 } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTcp } from 'node:net';
import { createServer as createTls } from 'node:tls';
import type { RequestListener } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import type { ServedAs } from '../../src/agent/spec.js';
import { parseTarget } from '../../src/net/target/target.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/folder.js';
import { grpcClient, grpcService } from '../support/grpc.js';
import { freePort } from '../support/ports.js';
import { agent, desired, get, httpService, readAll, relay, service, visit } from '../support/world.js';

async function published(target: number | string, over: Parameters<typeof service>[2] = {}) {
  const at = await relay();
  const one = await agent();
  const spec = service('web', target, { mode: 'auto', alpn: 'auto', ...over });
  await one.runner.apply(desired([at.spec], spec));
  await one.event('lease', ({ phase }) => phase === 'ready');
  const servedAs = async (): Promise<ServedAs> => (await one.runner.status()).leases[0]!.servedAs;
  return {
    at,
    ...one,
    spec,
    servedAs,
    decided: (as: ServedAs, from = 0) => one.event('served', (event) => event.servedAs === as, from),
    visit: (alpn?: string[]) => visit(at, 'web.localhost', one.ca, { ALPNProtocols: alpn }),
    get: () => get(at, 'web.localhost', one.ca),
  };
}

/** A TCP service that records each connection's bytes, and can be stopped. */
async function receivedBy(onSocket: (socket: Socket) => void, port = 0) {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTcp({ allowHalfOpen: true }, (socket) => {
    const index = received.push('') - 1;
    sockets.add(socket);
    socket
      .on('error', () => undefined)
      .on('data', (chunk: Buffer) => (received[index] += chunk.toString('latin1')));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  onTestFinished(stop);
  return { port: (server.address() as AddressInfo).port, received, stop };
}

const describeVisit: RequestListener = ({ headers }, response) =>
  void response.end([headers['x-forwarded-proto'], headers['x-forwarded-host'], headers.forwarded].join(' '));

const echo = (socket: Socket): void =>
  void socket.on('data', (chunk: Buffer) => socket.write(`said ${String(chunk)}`));

/** Responds to GET only. */
const onlyGet = (socket: Socket): void =>
  void socket.on('data', (chunk: Buffer) => {
    if (String(chunk).startsWith('GET'))
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });

/**
 * Visitors send `words` until the service is served as stream: a target is probed at most once in several seconds.
 */
async function foundOut(
  one: Awaited<ReturnType<typeof published>>,
  words: string,
  alpn?: string[],
): Promise<void> {
  await eventually(async () => {
    // A stream offers HTTP/2 to no visitor.
    const visitor = await one.visit(alpn).catch(() => undefined);
    visitor?.on('error', () => undefined).resume();
    visitor?.end(words, () => visitor.destroySoon());
    expect(await one.servedAs()).toBe('stream');
  });
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('a target that speaks HTTP', () => {
  it('learns who visits it, and how', async () => {
    const { port } = await httpService(describeVisit);
    const one = await published(port);
    expect(await one.decided('http')).toMatchObject({ service: 'web', target: `localhost:${port}` });
    expect((await one.get()).text).toContain(
      'https web.localhost for=127.0.0.1;host="web.localhost";proto=https',
    );
    expect((await one.visit(['h2', 'http/1.1'])).alpnProtocol).toBe('h2');
    expect(await one.servedAs()).toBe('http');
  });

  it('learns nothing with `forwarded: false`, whatever the visitor sends', async () => {
    const seen: string[] = [];
    const { port } = await httpService(({ rawHeaders }, response) => {
      seen.push(...rawHeaders.filter((_, i) => i % 2 === 0));
      response.end('ok');
    });
    const one = await published(port, { forwarded: false });
    await one.decided('http');
    const visitor = await one.visit(['http/1.1']);
    visitor.write(
      'GET / HTTP/1.1\r\nHost: web.localhost\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nConnection: close\r\n\r\n',
    );
    expect(String(await readAll(visitor))).toContain('ok');
    expect(seen.filter((name) => /forwarded/i.test(name))).toEqual([]);
  });

  it('receives only requests from a visitor, and no other bytes', async () => {
    const { port } = await httpService(describeVisit);
    const one = await published(port);
    await one.decided('http');
    const visitor = await one.visit(undefined);
    visitor.write('\x01GET / HTTP/1.1\r\nHost: web.localhost\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n');
    expect(String(await readAll(visitor))).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('serves visitors from the first one on, while the probe is running', async () => {
    const { port } = await httpService(describeVisit);
    const one = await published(port);
    const [first, silent] = await Promise.all([one.get(), one.visit(undefined)]);
    expect(first.text).toContain('https web.localhost');
    silent.write('GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n');
    expect(String(await readAll(silent))).toContain('https web.localhost');
  });

  it('keeps a PIN in front of it, and requests for the inspector', async () => {
    const { port } = await httpService(describeVisit);
    const one = await published(port, { access: { pin: '1234' } });
    expect((await one.get()).status).toBe(401);
    expect(await one.servedAs()).toBe('http');
  });
});

describe('a target that does not speak HTTP', () => {
  it('receives nothing if it speaks first', async () => {
    const target = await receivedBy((socket) => socket.write('SSH-2.0-test\r\n'));
    const one = await published(target.port);
    await one.decided('stream');
    expect(target.received).toEqual(['']);
    const visitor = await one.visit(undefined);
    expect(String((await once(visitor, 'data'))[0])).toBe('SSH-2.0-test\r\n');
    visitor.write('GET / HTTP/1.1\r\nHost: web\r\n\r\n');
    await eventually(() => expect(target.received[1]).toBe('GET / HTTP/1.1\r\nHost: web\r\n\r\n'));
  });

  it('receives one plain text probe, and no other while it runs', async () => {
    const target = await receivedBy(echo);
    const one = await published(target.port);
    await one.decided('stream');
    for (const each of ['one', 'two']) {
      const visitor = await one.visit(undefined);
      visitor.write(each);
      expect(String((await once(visitor, 'data'))[0])).toBe(`said ${each}`);
    }
    expect(target.received).toEqual(['OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n', 'one', 'two']);
  });

  it('receives one probe if it closes after it, and gets its visitors', async () => {
    const target = await receivedBy((socket) =>
      socket.once('data', (chunk: Buffer) =>
        String(chunk) === '\0\0\0\bhi' ? socket.write('R') : socket.destroy(),
      ),
    );
    const one = await published(target.port);
    await one.decided('stream');
    const visitor = await one.visit(undefined);
    visitor.write('\0\0\0\bhi');
    expect(String((await once(visitor, 'data'))[0])).toBe('R');
    expect(target.received.filter((said) => said.startsWith('OPTIONS'))).toHaveLength(1);
  });
});

describe('a target of unknown kind', () => {
  it('that is down is decided when it starts, without a visitor', async () => {
    const port = await freePort();
    const one = await published(port);
    expect(await one.servedAs()).toBe('undecided');
    expect((await one.get()).status).toBe(503);
    await httpService(describeVisit, port);
    await one.decided('http');
    expect((await one.get()).text).toContain('https web.localhost');
  });

  it('that closes immediately, as a forwarder without a target, is probed until it responds', async () => {
    const forwarder = await receivedBy((socket) => socket.destroy());
    const one = await published(forwarder.port);
    await eventually(() => expect(forwarder.received.length).toBeGreaterThan(1));
    expect(forwarder.received.join('')).toBe('');
    expect(await one.servedAs()).toBe('undecided');
    forwarder.stop();
    await httpService(describeVisit, forwarder.port);
    await one.decided('http');
  });

  it('that is silent is decided by its response to the first HTTP visitor', async () => {
    const target = await receivedBy(onlyGet);
    const one = await published(target.port);
    await eventually(() => expect(target.received.join()).toContain('OPTIONS'));
    const silent = await one.visit(undefined);
    silent.write('hello');
    await eventually(() => expect(target.received).toContain('hello'));
    expect(await one.servedAs()).toBe('undecided');
    expect((await one.get()).status).toBe(200);
    await one.decided('http');
    expect(target.received.find((said) => said.startsWith('GET'))).toContain('X-Forwarded-Proto: https');
  });
});

describe('a target that changes its kind', () => {
  it('is served as its new kind, in both directions', async () => {
    const web = await httpService(describeVisit);
    const one = await published(web.port);
    await one.decided('http');
    await web.close();
    expect((await one.get()).status).toBe(503);
    expect(await one.servedAs()).toBe('http');
    const lines = await receivedBy(echo, web.port);
    await one.decided('stream');
    const visitor = await one.visit(undefined);
    visitor.write('lines');
    expect(String((await once(visitor, 'data'))[0])).toBe('said lines');
    lines.stop();
    await once(visitor, 'close');
    const seen = one.events.length;
    await httpService(describeVisit, web.port);
    // Its first visitor detects it, unless the last probe was less than a second ago.
    await eventually(async () => expect((await one.get()).text).toContain('https web.localhost'));
    await one.decided('http', seen);
  });

  it('is detected by a visitor if the change went unnoticed', async () => {
    const web = await httpService(describeVisit);
    const one = await published(web.port);
    await one.decided('http');
    await web.close();
    const lines = await receivedBy((socket) => socket.once('data', () => socket.end('no')), web.port);
    await eventually(async () => {
      await one.get().catch(() => undefined);
      expect(await one.servedAs()).toBe('stream');
    });
    expect(lines.received.join('')).toContain('OPTIONS');
  });

  it.each([
    ['no HTTP', undefined, '*1\r\n$4\r\nPING\r\n'],
    ['another protocol in the form of HTTP', undefined, 'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n'],
    ['no HTTP/2 after agreeing on it', ['h2'], '*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n'],
  ])('is detected by a visitor that speaks %s', async (_what, alpn, words) => {
    const web = await httpService(describeVisit);
    const one = await published(web.port);
    await one.decided('http');
    await web.close();
    const lines = await receivedBy(echo, web.port);
    const first = await one.visit(alpn);
    first.write(words);
    await readAll(first);
    expect(lines.received.join('')).not.toContain(words);
    await foundOut(one, words, alpn);
    const next = await one.visit(undefined);
    next.write(words);
    expect(String((await once(next, 'data'))[0])).toBe(`said ${words}`);
  });

  it('is detected if it has responded only to visitors', async () => {
    const web = await receivedBy(onlyGet);
    const one = await published(web.port);
    expect((await one.get()).status).toBe(200);
    await one.decided('http');
    web.stop();
    await receivedBy(echo, web.port);
    await foundOut(one, 'hello\r\n');
  });

  it('keeps its kind when only its visitors change, and is probed periodically', async () => {
    const begun = performance.now();
    const web = await receivedBy((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')),
    );
    const one = await published(web.port);
    await one.decided('http');
    for (let i = 0; i < 20; i++) {
      const visitor = await one.visit(undefined);
      visitor.write('*1\r\n$4\r\nPING\r\n');
      expect(String(await readAll(visitor))).toMatch(/^HTTP\/1\.1 400 /);
    }
    const requested = web.received.filter((said) => said.startsWith('OPTIONS')).length;
    expect(requested).toBeLessThanOrEqual(1 + Math.floor((performance.now() - begun) / 5_000));
    expect(web.received.join('')).not.toContain('PING\r');
    expect(await one.servedAs()).toBe('http');
  });

  it('is probed again when the file names another target', async () => {
    const web = await httpService(describeVisit);
    const lines = await receivedBy(echo);
    const one = await published(web.port);
    await one.decided('http');
    const next = { ...one.spec, target: parseTarget(lines.port) };
    await one.runner.apply(desired([one.at.spec], next));
    await one.decided('stream');
    await one.runner.apply(desired([one.at.spec], { ...next, mode: 'stream' }));
    expect(await one.servedAs()).toBe('stream');
    await one.runner.apply(desired([one.at.spec], { ...next, target: parseTarget(web.port), mode: 'auto' }));
    await eventually(async () => expect(await one.servedAs()).toBe('http'));
    expect((await one.runner.status()).leases).toHaveLength(1);
  });
});

const certificate = async () => (await openLocalCa(await temporaryFolder())).issue(['localhost']);

describe('a service on several relays', () => {
  it('probes its target once, and decides once for all of them', async () => {
    const lines = await receivedBy(echo);
    const relays = await Promise.all([relay(), relay(), relay()]);
    const one = await agent();
    const spec = service('web', lines.port, { mode: 'auto', alpn: 'auto' });
    const specs = relays.map((at) => at.spec);
    await one.runner.apply(desired(specs.slice(0, 2), spec));
    await one.event('ready');
    await one.event('served');
    // On a later relay its kind is known from the start.
    await one.runner.apply(desired(specs, spec));
    const servedAs = async () => (await one.runner.status()).leases.map((lease) => lease.servedAs);
    expect(await servedAs()).toEqual(['stream', 'stream', 'stream']);
    expect(lines.received.filter(Boolean)).toEqual(['OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n']);
    const seen = one.events.length;
    lines.stop();
    const web = await httpService(describeVisit, lines.port);
    // A visitor on one relay detects it, and visitors on the others benefit.
    await eventually(async () => {
      const { text } = await get(relays[0], 'web.localhost', one.ca);
      expect(text).toContain('https web.localhost');
    });
    await one.event('served', (event) => event.servedAs === 'http', seen);
    expect(await servedAs()).toEqual(['http', 'http', 'http']);
    expect((await get(relays[2], 'web.localhost', one.ca)).text).toContain('https web.localhost');
    expect(one.events.slice(seen).filter(({ event }) => event === 'served')).toHaveLength(1);
    await web.close();
  });

  it('reports the mode of each service of one target', async () => {
    const web = await httpService(describeVisit);
    const at = await relay();
    const one = await agent();
    const named = (name: string) => service(name, web.port, { mode: 'auto', alpn: 'auto' });
    await one.runner.apply(desired([at.spec], named('a')));
    await one.event('served', (event) => event.service === 'a');
    await one.runner.apply(desired([at.spec], named('a'), named('b')));
    expect(await one.event('served', (event) => event.service === 'b')).toMatchObject({ servedAs: 'http' });
  });
});

describe('a target over TLS', () => {
  it('of HTTP/1.1 is served as http', async () => {
    const one = await published(
      `https://localhost:${await listening(createHttps(await certificate(), describeVisit))}`,
    );
    await one.decided('http');
    expect((await one.get()).text).toContain('https web.localhost');
  });

  it('of HTTP without ALPN is served as http', async () => {
    const options = { ...(await certificate()), ALPNProtocols: undefined };
    const server = createTls(options, (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () =>
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'),
      );
    });
    const one = await published(`https://localhost:${await listening(server)}`);
    await one.decided('http');
    expect((await one.get()).status).toBe(200);
  });

  it.each([
    ['without ALPN', undefined],
    ['with its own ALPN', ['x-own']],
  ])('of another protocol, %s, is served as stream', async (_what, alpn) => {
    const options = { ...(await certificate()), ...(alpn && { ALPNProtocols: alpn }) };
    const server = createTls(options, (socket) => echo(socket.on('error', () => undefined)));
    const one = await published(`https://localhost:${await listening(server)}`);
    await one.decided('stream');
    const visitor = await one.visit(undefined);
    visitor.write('hello');
    expect(String((await once(visitor, 'data'))[0])).toBe('said hello');
  });
});

describe('a target of HTTP/2 without TLS', () => {
  it('is served only as http', async () => {
    const server = createHttp2(
      (request, response) => void response.end(String(request.headers['x-forwarded-proto'])),
    );
    server.on('sessionError', () => undefined);
    const one = await published(await listening(server));
    await one.decided('http');
    expect((await one.get()).text).toContain('https');
  });

  it('receives gRPC calls', async () => {
    const { port } = await grpcService();
    const one = await published(port);
    await one.decided('http');
    const client = grpcClient(one.at, 'web.localhost', one.ca);
    expect(await client.unary('hello')).toBeDefined();
  });
});
