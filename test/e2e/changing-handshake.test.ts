import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { parseTarget } from '../../src/net/target/target.js';
import { agent, desired, httpService, readAll, relay, service, tcpService, visit } from '../support/world.js';

/** A path to the relay that holds the visitor's bytes after its ClientHello until the test releases them. */
async function slowWay(to: { port: number }): Promise<{ port: number; answered: Promise<void>; go(): void }> {
  let go: (() => void) | undefined;
  let answered: (() => void) | undefined;
  const received = new Promise<void>((resolve) => (answered = resolve));
  const port = await tcpService((visitor: Socket) => {
    const onward = connect(to.port, '127.0.0.1').on('error', () => undefined);
    onward.on('data', (chunk: Buffer) => visitor.write(chunk));
    onward.once('data', () => answered?.());
    onward.on('close', () => visitor.destroy());
    visitor.on('close', () => onward.destroy());
    visitor.once('data', (hello: Buffer) => {
      visitor.pause();
      onward.write(hello);
      go = () => void visitor.pipe(onward);
    });
  });
  return { port, answered: received, go: () => go?.() };
}

async function published(target: number, mode: 'stream' | 'http') {
  const at = await relay();
  const { runner, ca, event } = await agent();
  const spec = service('web', target, { alpn: 'auto', mode });
  await runner.apply(desired([at.spec], spec));
  await event('ready');
  return {
    at,
    /** A visitor whose handshake ends after `change`. */
    caughtBy: async (change: Partial<typeof spec>, ALPNProtocols: string[]) => {
      const way = await slowWay(at);
      const visitor = visit(way, 'web.localhost', ca, { ALPNProtocols });
      await way.answered;
      await runner.apply(desired([at.spec], { ...spec, ...change }));
      way.go();
      return visitor;
    },
  };
}

it('a visitor who agreed on HTTP/2 with the old target must retry, and the target receives nothing', async () => {
  const said: string[] = [];
  const { port } = await httpService((_request, response) => void response.end('ok'));
  const plain = await tcpService((socket) =>
    socket.once('data', (chunk: Buffer) => {
      said.push(chunk.toString('latin1').slice(0, 7));
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    }),
  );
  const { caughtBy } = await published(port, 'http');
  const visitor = await caughtBy({ mode: 'stream', target: parseTarget(plain) }, ['h2', 'http/1.1']);
  expect(visitor.alpnProtocol).toBe('h2');
  const session = connectHttp2('https://web.localhost', { createConnection: () => visitor });
  const goodbye = new Promise((resolve) =>
    session.once('goaway', (code, lastStream) => resolve([code, lastStream])),
  );
  session.on('error', () => undefined);
  session.request({ ':path': '/' }).on('error', () => undefined);
  expect(await goodbye).toEqual([0, 0]);
  // The probe, and nothing from the visitor.
  expect(said).toEqual(['PRI * H']);
});

it('an HTTP/1.1 visitor gets a page that retries if the target accepts only HTTP/2', async () => {
  const { port } = await httpService((_request, response) => void response.end('ok'));
  const settings = Buffer.from('000000040000000000', 'hex');
  const h2 = await tcpService((socket) => socket.on('data', () => socket.write(settings)));
  const { caughtBy } = await published(port, 'http');
  const visitor = await caughtBy({ mode: 'stream', target: parseTarget(h2) }, ['http/1.1']);
  visitor.write('GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n');
  expect(String(await readAll(visitor))).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After/);
});

it('a visitor whose agreed protocol still works is served by the new target', async () => {
  const [old, next] = await Promise.all(
    ['old', 'next'].map((name) => httpService((_request, response) => void response.end(name))),
  );
  const { caughtBy } = await published(old!.port, 'http');
  const visitor = await caughtBy({ mode: 'stream', target: parseTarget(next!.port) }, ['http/1.1']);
  visitor.write('GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n');
  expect(String(await readAll(visitor))).toContain('next');
});
