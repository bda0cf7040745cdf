import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { freePort } from '../support/ports.js';
import { agent, desired, get, httpService, relay, service, tcpService } from '../support/world.js';

/** A local service that does not answer is reported immediately: by event, in `ready` and in `status`. */

async function listen(port: number): Promise<Server> {
  const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'));
  server.listen(port, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return server;
}

async function published(over: Partial<ServiceSpec>, target: number) {
  const at = await relay({ ports: { tcp: 'any', udp: 'any' } });
  const one = await agent();
  const spec = service('app', target, over);
  const verdicts = (): unknown[] => one.events.filter(({ event }) => event === 'target');
  await one.runner.apply(desired([at.spec], spec));
  return { ...one, at, spec, verdicts };
}

const verdict = (port: number, error?: string): object => ({
  event: 'target',
  service: 'app',
  target: `localhost:${port}`,
  reachable: error === undefined,
  ...(error !== undefined && { error: expect.stringContaining(error) }),
});

describe.each(['stream', 'http', 'auto', 'tcp'] as const)('a target of mode %s', (mode) => {
  it('is reported as down at the start, and as recovered', async () => {
    const port = await freePort();
    const one = await published({ mode, carrier: mode === 'tcp' ? 'tls' : 'raw' }, port);
    expect(one.verdicts()).toEqual([verdict(port, `nothing listens on port ${port}`)]);
    expect((await one.event('ready')).unreachable).toEqual(['app']);
    const [down] = (await one.runner.status()).leases;
    expect(down).toHaveProperty('targetError');
    await listen(port);
    await one.event('target', ({ reachable }) => reachable);
    expect(one.verdicts()).toHaveLength(2);
    const [up] = (await one.runner.status()).leases;
    expect(up).not.toHaveProperty('targetError');
    expect(Date.parse(up!.localSince!)).toBeGreaterThan(Date.parse(down!.localSince!));
  });
});

it('a service that a save adds says with its address whether its target is down', async () => {
  const { port } = await httpService((_, response) => response.end('hello'));
  const one = await published({ mode: 'http' }, port);
  const added = ['api', 'docs'].map((name) => service(name, name === 'docs' ? port : 1, { mode: 'http' }));
  await one.runner.apply(desired([one.at.spec], one.spec, ...added));
  const opened = (name: string): Promise<object> =>
    one.event('lease', ({ service: of, phase }) => of === name && phase === 'ready');
  expect(await opened('api')).toHaveProperty('unreachable', true);
  expect(await opened('docs')).not.toHaveProperty('unreachable');
});

describe.each(['stream', 'http', 'auto'] as const)('a visitor of mode %s', (mode) => {
  it('who gets a 503 causes a report, once', async () => {
    const target = await httpService((_, response) => response.end('hello'));
    const one = await published({ mode }, target.port);
    expect(one.verdicts()).toEqual([verdict(target.port)]);
    expect(await one.event('ready')).not.toHaveProperty('unreachable');
    // The probe must not fail.
    if (mode === 'auto') await one.event('served');
    await target.close();
    for (const _ of [1, 2, 3]) expect((await get(one.at, 'app.localhost', one.ca)).status).toBe(503);
    expect(one.verdicts().slice(1)).toEqual([verdict(target.port, `nothing listens on port ${target.port}`)]);
    await listen(target.port);
    await one.event('target', ({ reachable }) => reachable, one.events.length);
    expect(one.verdicts()).toHaveLength(3);
  });
});

it('a forwarder without a target does not respond', async () => {
  const port = await tcpService((socket) => socket.destroy());
  const one = await published({ mode: 'auto' }, port);
  await one.event('target', ({ reachable }) => !reachable);
  expect(one.verdicts().at(-1)).toEqual(verdict(port, 'closed the connection immediately'));
});

it('a target of mode udp is down once it refused a datagram, and recovered once it replied to one', async () => {
  const port = await freePort();
  const echo = createSocket('udp4', (payload, from) => echo.send(payload, from.port, from.address));
  onTestFinished(() => void echo.close());
  const one = await published({ mode: 'udp', carrier: 'raw' }, port);
  const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  const visitor = createSocket('udp4').bind(0, '127.0.0.1');
  onTestFinished(() => void visitor.close());
  const say = setInterval(() => visitor.send('hello', Number(udpAddr!.split(':')[1]), '127.0.0.1'), 20);
  onTestFinished(() => clearInterval(say));
  await one.event('target', ({ reachable }) => !reachable);
  expect(one.verdicts()).toEqual([verdict(port, `nothing receives datagrams on port ${port}`)]);
  echo.bind(port, '127.0.0.1');
  await one.event('target', ({ reachable }) => reachable);
  expect(one.verdicts()).toHaveLength(2);
});
