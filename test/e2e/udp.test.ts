import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { RelayOptions } from '../../src/relay/relay.js';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { eventually } from '../support/eventually.js';
import { freePort } from '../support/ports.js';
import { agent, desired, relay, service } from '../support/world.js';
import { udpService, udpVisitor } from '../support/udp.js';

const portOf = (udpAddr: string): number => Number(udpAddr.slice(udpAddr.lastIndexOf(':') + 1));

async function published(
  target: number,
  options: Partial<RelayOptions> = {},
  over: Partial<ServiceSpec> = {},
) {
  const at = await relay({ ports: { udp: 'any' }, ...options });
  const one = await agent();
  const spec = service('echo', target, { mode: 'udp', ...over });
  await one.runner.apply(desired([at.spec], spec));
  const lease = await one.event('lease', ({ phase }) => phase === 'ready');
  return { ...one, at, spec, lease, port: portOf(lease.udpAddr!) };
}

describe.each(['udp', 'ws'] as const)('mode udp, carrier %s', (carrier) => {
  const over: Partial<ServiceSpec> = carrier === 'ws' ? { carrier: 'ws' } : {};

  it('transfers datagrams in both directions', async () => {
    const echo = await udpService();
    const { port, lease, at } = await published(echo.port, {}, over);
    expect(lease).toMatchObject({ udpAddr: `localhost:${port}` });
    expect(lease.url).toBeUndefined();
    const visitor = await udpVisitor(port);
    visitor.send('hello');
    expect((await visitor.next()).toString()).toBe('hello');
    // The service never received the probe that made it ready.
    expect(echo.received).toBe(1);
    expect(at.counts().dropped).toEqual({});
  });

  it.each([0, 1, 1_100, 1_167, 9_000, 65_507])('forwards a payload of %i bytes', async (size) => {
    const echo = await udpService();
    const { port } = await published(echo.port, {}, over);
    const visitor = await udpVisitor(port);
    const payload = randomBytes(size);
    visitor.send(payload);
    expect((await visitor.next()).equals(payload)).toBe(true);
  });

  it('gives each visitor a separate peer at the service, and returns replies to the right one', async () => {
    const echo = await udpService();
    const { port, runner, at } = await published(echo.port, {}, over);
    const visitors = await Promise.all(Array.from({ length: 200 }, () => udpVisitor(port)));
    for (const visitor of visitors) visitor.send(`i am ${visitor.port}`);
    for (const visitor of visitors) expect((await visitor.next()).toString()).toBe(`i am ${visitor.port}`);
    expect(echo.peers.size).toBe(200);
    expect((await runner.status()).leases[0]!.visitors).toBe(200);
    // The agent's own probe, which may still be on its way on a busy machine, does not count.
    await eventually(() => expect(at.counts().flows).toBe(200));
  });
});

it("shows the identity no visitor for the agent's own probes", async () => {
  const echo = await udpService();
  const { at, runner } = await published(echo.port);
  await runner.prove();
  await eventually(() => expect(at.counts().flows).toBe(0));
});

it('leaves the port of the target to a service that starts later', async () => {
  const target = await freePort();
  const { port } = await published(target, {}, { port: target });
  expect(port).not.toBe(target);
});
