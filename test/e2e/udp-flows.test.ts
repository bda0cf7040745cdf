import { describe, expect, it } from 'vitest';
import { freePort } from '../support/ports.js';
import { eventually } from '../support/eventually.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import { newTicket, showTicket } from '../../src/protocol/ticket.js';
import { wire } from '../support/wire.js';
import { agent, desired, relay, service } from '../support/world.js';
import { udpService, udpVisitor, type UdpService } from '../support/udp.js';

/** Flows: limits, timeouts, and services and relays that come and go. */

async function published(target: UdpService, limits: Partial<RelayLimits> = {}, over = {}) {
  const at = await relay({ ports: { udp: 'any' }, limits, ...over });
  const one = await agent();
  const spec = service('echo', target.port, { mode: 'udp' });
  await one.runner.apply(desired([at.spec], spec));
  const lease = await one.event('lease', ({ phase }) => phase === 'ready');
  const port = Number(lease.udpAddr!.split(':')[1]);
  const status = async () => (await one.runner.status()).leases[0]!;
  return { ...one, at, spec, lease, port, status };
}

describe('flows', () => {
  it('end after silence, on both sides, and start again', async () => {
    const echo = await udpService();
    const { at, port, status } = await published(echo, { flowIdleMs: 300 });
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('one')).toBe('one');
    await eventually(() => expect(at.counts().flows).toBe(0));
    await eventually(async () => expect((await status()).visitors).toBe(0));
    expect(await visitor.ask('two')).toBe('two');
    expect(echo.peers.size).toBe(2);
  });

  it('that stay active do not end', async () => {
    const echo = await udpService();
    const { port } = await published(echo, { flowIdleMs: 1_000 });
    const visitor = await udpVisitor(port);
    const until = Date.now() + 2_500;
    while (Date.now() < until) await visitor.ask(`${Date.now()}`);
    expect(echo.peers.size).toBe(1);
  });

  it('without a reply are replaced first', async () => {
    const echo = await udpService((payload) => (payload.toString() === 'answer' ? payload : undefined));
    const { at, port } = await published(echo, { maxFlowsPerLease: 10 });
    const friend = await udpVisitor(port);
    expect(await friend.ask('answer')).toBe('answer');
    const peers = echo.peers.size;
    const crowd = await Promise.all(Array.from({ length: 50 }, () => udpVisitor(port)));
    for (const one of crowd) one.send('nothing');
    await eventually(() => expect(echo.received).toBeGreaterThanOrEqual(51));
    expect(at.counts().flows).toBe(10);
    expect(at.counts().dropped.flows).toBeGreaterThanOrEqual(41);
    expect(await friend.ask('answer')).toBe('answer');
    // The same peer as before: its flow never ended. The system may give the port of an ended flow to a later one.
    expect(echo.peers.size).toBeLessThanOrEqual(peers + 50);
  });

  it('of the address with most of them are replaced, even when all have replies', async () => {
    const echo = await udpService();
    const { at, port } = await published(echo, { maxFlowsPerLease: 8 });
    const friend = await udpVisitor(port);
    expect(await friend.ask('one')).toBe('one');
    const ownPeer = [...echo.peers];
    for (let i = 0; i < 40; i++) {
      const other = await udpVisitor(port, '127.0.0.1', '127.0.1.1');
      expect(await other.ask('hello')).toBe('hello');
    }
    expect(at.counts().flows).toBe(8);
    const peers = echo.peers.size;
    expect(await friend.ask('two')).toBe('two');
    // The same peer as before: its flow never ended.
    expect(echo.peers.size).toBe(peers);
    expect([...echo.peers][0]).toBe(ownPeer[0]);
  });

  it('of a session have a limit, and the lease with most of them loses some', async () => {
    const [busy, quiet] = [await udpService(), await udpService()];
    const at = await relay({ ports: { udp: 'any' }, limits: { maxFlowsPerSession: 20 } });
    const one = await agent();
    await one.runner.apply(
      desired(
        [at.spec],
        service('busy', busy.port, { mode: 'udp' }),
        service('quiet', quiet.port, { mode: 'udp' }),
      ),
    );
    const ready = await one.event('ready');
    const portOf = (name: string): number => Number(ready.services[name]!.udp[0]!.split(':')[1]);
    const calm = await udpVisitor(portOf('quiet'));
    expect(await calm.ask('one')).toBe('one');
    for (let i = 0; i < 60; i++) {
      const visitor = await udpVisitor(portOf('busy'));
      expect(await visitor.ask('hello')).toBe('hello');
    }
    const peers = quiet.peers.size;
    expect(await calm.ask('two')).toBe('two');
    expect(quiet.peers.size).toBe(peers);
    expect(at.counts().flows).toBeLessThanOrEqual(22);
  });
});

describe('a local service', () => {
  it('is not down if its relay offers no UDP ports', async () => {
    const echo = await udpService();
    const at = await relay();
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp' })));
    await one.event('lease', ({ error }) => error?.code === 'capability_missing');
    const [lease] = (await one.runner.status()).leases;
    expect(lease).toMatchObject({ phase: 'failed', error: { code: 'capability_missing' } });
    expect(lease!.targetError).toBeUndefined();
  });

  it('that is down is counted and reported, and the same flow continues when it recovers', async () => {
    const echo = await udpService();
    const { port, status } = await published(echo);
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('one')).toBe('one');
    expect((await status()).targetError).toBeUndefined();
    await echo.close();
    visitor.send('lost');
    visitor.send('lost too');
    await eventually(async () => {
      const { targetError, dropped, phase } = await status();
      expect(phase).toBe('ready');
      expect(targetError).toContain(`nothing receives datagrams on port ${echo.port}`);
      expect(dropped?.['unreachable']).toBeGreaterThan(0);
    });
    await udpService(undefined, echo.port);
    expect(await visitor.ask('two')).toBe('two');
    expect((await status()).targetError).toBeUndefined();
  });

  it('that is replaced by another gets no later visitors', async () => {
    const [first, second] = [
      await udpService((payload) => Buffer.from(`first ${payload.toString()}`)),
      await udpService((payload) => Buffer.from(`second ${payload.toString()}`)),
    ];
    const { port, runner, at, spec } = await published(first);
    const early = await udpVisitor(port);
    expect(await early.ask('x')).toBe('first x');
    await runner.apply(desired([at.spec], { ...spec, target: service('e', second.port).target }));
    const late = await udpVisitor(port);
    expect(await late.ask('x')).toBe('second x');
    expect(await early.ask('y')).toBe('first y');
  });
});

describe('a carrier', () => {
  it('changes in place: flows and the service’s peers stay', async () => {
    const echo = await udpService();
    const { port, runner, at, spec } = await published(echo);
    const carrier = async () => (await runner.status()).relays[0]!.datagrams?.carrier;
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('one')).toBe('one');
    for (const other of ['ws', 'raw', 'ws'] as const) {
      await runner.apply(desired([at.spec], { ...spec, carrier: other }));
      await eventually(async () => expect(await carrier()).toBe(other === 'ws' ? 'ws' : 'udp'));
      expect(await visitor.ask(other)).toBe(other);
    }
    expect(echo.peers.size).toBe(1);
  });

  it('is the WebSocket if another program uses the relay’s UDP port', async () => {
    const taken = await udpService(undefined, await freePort());
    const echo = await udpService();
    const { port, runner } = await published(echo, {}, { port: taken.port });
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('hello')).toBe('hello');
    expect((await runner.status()).relays[0]!.datagrams).toMatchObject({ carrier: 'ws' });
    expect(taken.received).toBe(0);
  });

  it('is also UDP if the relay listens on IPv4 and IPv6', async (context) => {
    if (!(await hasIpv6())) context.skip('this machine has no IPv6');
    const echo = await udpService();
    const { port, runner } = await published(echo, {}, { host: '::' });
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('hello')).toBe('hello');
    expect((await runner.status()).relays[0]!.datagrams).toEqual({ carrier: 'udp', dropped: {} });
  });
});

async function hasIpv6(): Promise<boolean> {
  const { createSocket } = await import('node:dgram');
  const socket = createSocket('udp6');
  return new Promise((resolve) => {
    socket.once('error', () => resolve(false));
    socket.bind(0, '::1', () => socket.close(() => resolve(true)));
  });
}

describe('a relay', () => {
  it('that loses the control channel keeps the same peers for the service', async () => {
    let port = 0;
    const between = await wire(() => port);
    const echo = await udpService();
    const at = await relay({ ports: { udp: 'any' }, publicPort: between.port });
    port = at.port;
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp', carrier: 'ws' })));
    const lease = await one.event('lease', ({ phase }) => phase === 'ready');
    const visitor = await udpVisitor(Number(lease.udpAddr!.split(':')[1]));
    expect(await visitor.ask('one')).toBe('one');
    const seen = one.events.length;
    for (const connection of between.connections.slice()) connection.kill();
    await one.event('lease', ({ phase }) => phase === 'ready', seen);
    expect(await visitor.ask('two')).toBe('two');
    expect(echo.peers.size).toBe(1);
  });

  it('that restarts gives the same port and the same peers again', async () => {
    const echo = await udpService();
    const { at, port, event, lease } = await published(echo);
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('one')).toBe('one');
    await at.close();
    visitor.send('into the void');
    await relay({ ports: { udp: 'any' }, port: at.port, ca: at.ca });
    const back = await event('lease', (each) => each.phase === 'ready' && each.lease !== lease.lease);
    expect(back.udpAddr).toBe(lease.udpAddr);
    expect(await visitor.ask('two')).toBe('two');
    expect(echo.peers.size).toBe(1);
  });

  it('counts datagrams while the agent is disconnected, and continues when it returns', async () => {
    const echo = await udpService();
    const { at, port, runner, identity, spec } = await published(echo);
    await runner.stop({ reason: 'test', drainMs: 0 });
    const again = await agent({ identity });
    await again.runner.apply(desired([at.spec], spec));
    const back = await again.event('lease', ({ phase }) => phase === 'ready');
    // Released and requested again: the name keeps its port.
    expect(Number(back.udpAddr!.split(':')[1])).toBe(port);
    const visitor = await udpVisitor(port);
    expect(await visitor.ask('hello')).toBe('hello');
  });

  it('rejects a ticket for datagrams that is forged, used or for another purpose', async () => {
    const { at } = await published(await udpService());
    const { request } = await import('node:https');
    const upgrade = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        const requested = request({
          host: '127.0.0.1',
          port: at.port,
          path: '/v1/datagrams',
          ca: at.ca.certificatePem,
          servername: 'localhost',
          headers: {
            connection: 'Upgrade',
            upgrade: 'websocket',
            'sec-websocket-version': '13',
            'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
            ...headers,
          },
        });
        requested.once('response', (response) => resolve(response.statusCode!));
        requested.once('upgrade', () => resolve(101));
        requested.once('error', reject);
        requested.end();
      });
    const protocol = { 'sec-websocket-protocol': 'portal.datagrams.1' };
    const authorization = showTicket(newTicket(), 'ab'.repeat(32));
    expect(await upgrade({ ...protocol, authorization })).toBe(403);
    expect(await upgrade(protocol)).toBe(400);
    expect(await upgrade({ authorization })).toBe(400);
  });
});
