import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { freePort, freePorts } from '../support/ports.js';
import type { RelaySpec } from '../../src/agent/spec.js';
import type { PortalEvent } from '../../src/reconcile/events.js';
import { agent, desired, handedOver, relay, service, tcpService, type TestRelay } from '../support/world.js';
import { httpsGet } from '../support/visitor.js';
import { wire } from '../support/wire.js';

const ANY = { ports: { tcp: 'any' } } as const;

type Opened = Extract<PortalEvent, { event: 'lease' }>;

function portOf({ tcpAddr }: Opened): number {
  return Number(tcpAddr!.split(':')[1]);
}

async function visitor(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** Everything read until the connection ends, and how it ended. */
async function outcome(socket: Socket): Promise<{ text: string; error?: string }> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return new Promise((resolve) => {
    socket.once('end', () => resolve({ text }));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve({ text, error: error.code! }));
  });
}

function fetchHealth({ port, ca }: TestRelay): Promise<string> {
  return httpsGet(`https://localhost:${port}/healthz`, ca.certificateFile);
}

async function published(target: number | string, over: { port?: number; options?: object } = {}) {
  const at = await relay({ ...ANY, ...over.options });
  const { runner, event, events } = await agent();
  const spec = service('db', target, { mode: 'tcp', port: over.port });
  await runner.apply(desired([at.spec], spec));
  const lease = await event('lease', ({ phase }) => phase === 'ready');
  return { at, runner, event, events, spec, lease, port: portOf(lease) };
}

describe('mode tcp', () => {
  it('transfers bytes in both directions, with the half-close of each side', async () => {
    const target = await tcpService((socket) => {
      // Answers only once it has received everything.
      let said = '';
      socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
      socket.once('end', () => socket.end(`you said ${said}`));
    });
    const { port, lease } = await published(target);
    expect(lease.tcpAddr).toBe(`localhost:${port}`);
    expect(lease.url).toBeUndefined();
    const socket = await visitor(port);
    socket.end('hello');
    expect(await outcome(socket)).toEqual({ text: 'you said hello' });
  });

  it('transfers what many visitors send at once, before the agent has a connection for each', async () => {
    const target = await tcpService((socket) => {
      let bytes = 0;
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
      socket.once('end', () => socket.end(String(bytes)));
    });
    const { port } = await published(target);
    const visits = Array.from({ length: 30 }, async () => {
      const socket = await visitor(port);
      socket.end(Buffer.alloc(1_000_000));
      expect(await outcome(socket)).toEqual({ text: '1000000' });
    });
    await Promise.all(visits);
  });

  it('lets the service speak first', async () => {
    const target = await tcpService((socket) => socket.end('220 ready\r\n'));
    const { port } = await published(target);
    expect(await outcome(await visitor(port))).toEqual({ text: '220 ready\r\n' });
  });

  it('closes a Unix socket when its visitor resets the connection, and serves the next one', async () => {
    const path = join(await temporaryFolder(), 'app.sock');
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.write('220 ready');
      sockets.push(socket);
    }).listen(path);
    onTestFinished(() => void server.close());
    const { port } = await published(`unix:${path}`);
    const first = await visitor(port);
    await once(first, 'data');
    first.resetAndDestroy();
    // The agent's own connections, which check the target, come before.
    await once(sockets.at(-1)!, 'close');
    expect(String((await once(await visitor(port), 'data'))[0])).toBe('220 ready');
  });

  it('serves a visitor who has sent everything while the agent was away', async () => {
    const target = await tcpService((socket) => {
      let said = '';
      socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
      socket.once('end', () => socket.end(`you said ${said}`));
    });
    let behind = 0;
    const path = await wire(() => behind);
    const at = await relay({ ...ANY, publicPort: path.port });
    behind = at.port;
    const one = await agent();
    const spec: RelaySpec = {
      kind: 'url',
      url: `https://localhost:${path.port}`,
      caFile: at.ca.certificateFile,
    };
    await one.runner.apply(desired([spec], service('db', target, { mode: 'tcp' })));
    const port = portOf(await one.event('lease', ({ phase }) => phase === 'ready'));
    path.freeze();
    for (const connection of path.connections.slice()) connection.kill();
    await one.event('lease', ({ phase }) => phase === 'retrying');
    const socket = await visitor(port);
    const seen = outcome(socket);
    await new Promise<void>((resolve) => socket.end('hello', resolve));
    // The relay has received the end by the time it responds to this request.
    await fetchHealth(at);
    path.thaw();
    expect(await seen).toEqual({ text: 'you said hello' });
  });

  it('forwards a reset in both directions', async () => {
    const { port: target, next } = await handedOver();
    const { port } = await published(target);
    const first = await visitor(port);
    first.write('x');
    (await next()).resetAndDestroy();
    expect(await outcome(first)).toMatchObject({ error: 'ECONNRESET' });
    const second = await visitor(port);
    second.write('x');
    const served = await next();
    const seen = outcome(served);
    second.resetAndDestroy();
    expect(await seen).toMatchObject({ error: 'ECONNRESET' });
  });

  it('resets a visitor while the service is down, and serves the next one when it recovers', async () => {
    const down = await tcpService((socket) => socket.end('up'));
    const { port, runner, at, spec } = await published(1);
    expect(await outcome(await visitor(port))).toMatchObject({ error: 'ECONNRESET' });
    await runner.apply(desired([at.spec], { ...spec, target: service('db', down).target }));
    expect(await outcome(await visitor(port))).toEqual({ text: 'up' });
  });

  it('gives the requested port, and reports the visitor count', async () => {
    const free = await freePort();
    const { port: target, next } = await handedOver();
    const { port, runner } = await published(target, { port: free });
    expect(port).toBe(free);
    await visitor(port);
    await next();
    const [lease] = (await runner.status()).leases;
    expect(lease).toMatchObject({ tcpAddr: `localhost:${free}`, visitors: 1 });
  });

  it('gives another port if the requested one is in use, and status shows it', async () => {
    const taken = await tcpService(() => undefined);
    const { port, runner, lease } = await published(1, { port: taken });
    expect(port).not.toBe(taken);
    expect(lease.askedPort).toBe(taken);
    expect((await runner.status()).leases).toMatchObject([{ phase: 'ready', askedPort: taken }]);
  });

  it('says which ports the relay offers if the requested one is not among them', async () => {
    const from = await freePort();
    const range = { from, to: from };
    const { lease, runner } = await published(1, { port: 1, options: { ports: { tcp: range } } });
    expect(lease).toMatchObject({ askedPort: 1, portRange: range });
    expect((await runner.status()).leases).toMatchObject([{ askedPort: 1, portRange: range }]);
  });

  it('reports that the relay does not assign a port that a save asks for', async () => {
    const from = await freePort();
    const range = { from, to: from };
    const options = { ports: { tcp: range } };
    const { runner, at, spec, event, events } = await published(1, { port: from, options });
    await runner.apply(desired([at.spec], { ...spec, port: 1 }));
    const lease = await event('lease', ({ askedPort }) => askedPort === 1);
    expect(lease).toMatchObject({ phase: 'ready', portRange: range, tcpAddr: `localhost:${from}` });
    const seen = events.length;
    await runner.apply(desired([at.spec], { ...spec, port: from }));
    await event('lease', ({ askedPort }) => askedPort === undefined, seen);
  });

  it('moves to another port in place, and keeps visitors connected', async () => {
    const { port: target, next } = await handedOver();
    const { port, runner, at, spec, event } = await published(target);
    const early = await visitor(port);
    const served = await next();
    const other = await freePort();
    await runner.apply(desired([at.spec], { ...spec, port: other }));
    await event('lease', ({ tcpAddr }) => tcpAddr === `localhost:${other}`);
    const late = await visitor(other);
    await next();
    late.destroy();
    served.write('still here');
    await expect(
      new Promise((resolve) => early.once('data', (chunk) => resolve(String(chunk)))),
    ).resolves.toBe('still here');
    await expect(visitor(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('returns to the same port after the relay restarted', async () => {
    const target = await tcpService((socket) => socket.end('again'));
    const { at, port, event, lease } = await published(target);
    await at.close();
    const back = await relay({ ...ANY, port: at.port, ca: at.ca });
    const seen = await event('lease', (each) => each.phase === 'ready' && each.lease !== lease.lease);
    expect(portOf(seen)).toBe(port);
    expect(back.port).toBe(at.port);
    expect(await outcome(await visitor(port))).toEqual({ text: 'again' });
  });

  it('reports that the relay offers no ports, or has no free one', async () => {
    const none = await relay();
    const first = await agent();
    await first.runner.apply(desired([none.spec], service('db', 1, { mode: 'tcp' })));
    const failed = await first.event('lease', ({ phase }) => phase === 'failed');
    expect(failed.error).toMatchObject({ code: 'capability_missing' });

    const port = await freePort();
    const one = await relay({ ports: { tcp: { from: port, to: port } } });
    const second = await agent();
    await second.runner.apply(
      desired([one.spec], service('a', 1, { mode: 'tcp' }), service('b', 1, { mode: 'tcp' })),
    );
    const full = await second.event(
      'lease',
      ({ phase, error }) => phase === 'retrying' && error !== undefined,
    );
    expect(full.error).toMatchObject({ code: 'ports_exhausted' });
  });

  it('gives another identity the port of an unused name only when nothing else is free', async () => {
    const [port = 0, next = 0] = await freePorts(2);
    const at = await relay({ ports: { tcp: { from: port, to: next } } });
    const alice = await agent();
    await alice.runner.apply(desired([at.spec], service('a', 1, { mode: 'tcp', port })));
    const hers = portOf(await alice.event('lease', ({ phase }) => phase === 'ready'));
    await alice.runner.apply(desired([at.spec]));
    const bob = await agent();
    await bob.runner.apply(desired([at.spec], service('b', 1, { mode: 'tcp', port: hers })));
    const his = portOf(await bob.event('lease', ({ phase }) => phase === 'ready'));
    expect(his).not.toBe(hers);
  });
});
