import { once } from 'node:events';
import { expect, it, type TestContext } from 'vitest';
import type { ServiceSpec } from '../../src/agent/spec.js';
import { dnsServer, everythingHere } from '../support/dns-server.js';
import { pebble, type Pebble, type PebbleOptions } from '../support/pebble.js';
import { temporaryFolder } from '../support/folder.js';
import {
  agent,
  desired,
  handedOver,
  relay,
  service,
  visit,
  type TestAgent,
  type TestRelay,
} from '../support/world.js';

/** A relay, and a CA that validates at its public port. */
async function world(
  ctx: TestContext,
  options: Partial<PebbleOptions> = {},
): Promise<{ at: TestRelay; ca: Pebble; tls: ServiceSpec['tls'] }> {
  const at = await relay();
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address, ...options });
  return { at, ca, tls: { source: 'acme', ...ca.spec } };
}

const serial = async (at: TestRelay, hostname: string, root: string): Promise<string> => {
  const visitor = await visit(at, hostname, at.ca, { ca: root });
  const { serialNumber } = visitor.getPeerCertificate();
  visitor.destroy();
  return serialNumber;
};

const lease = async (one: TestAgent) => (await one.runner.status()).leases[0]!;

it.for(['raw', 'tls'] as const)('issues through the relay, on carrier %s', async (carrier, ctx) => {
  const { at, ca, tls } = await world(ctx);
  const held = await handedOver();
  const acmeDir = await temporaryFolder();
  const first = await agent({ acmeDir });
  const apply = (one: TestAgent): Promise<void> =>
    one.runner.apply(desired([at.spec], service('web', held.port, { tls, carrier })));
  await apply(first);
  expect(await lease(first)).toMatchObject({
    phase: 'ready',
    certificate: { notAfter: expect.any(String) as string, nextAt: expect.any(String) as string },
  });
  const root = await ca.root();
  const before = await serial(at, 'web.localhost', root);
  await first.runner.stop({ reason: 'test', drainMs: 0 });

  // The CA has stopped, so it cannot get a second request.
  await ca.stop();
  const second = await agent({ acmeDir, identity: first.identity });
  await apply(second);
  expect((await lease(second)).phase).toBe('ready');
  expect(await serial(at, 'web.localhost', root)).toBe(before);
});

it('renews early, and connected visitors notice nothing', async (ctx) => {
  const { at, ca, tls } = await world(ctx, { validityS: 6 });
  const held = await handedOver();
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', held.port, { tls })));
  const root = await ca.root();
  const visitor = await visit(at, 'web.localhost', at.ca, { ca: root });
  const source = await held.next();
  const { serialNumber, valid_to: end } = visitor.getPeerCertificate();
  await expect.poll(() => serial(at, 'web.localhost', root)).not.toBe(serialNumber);
  expect(Date.now()).toBeLessThan(Date.parse(end));
  expect((await lease(one)).phase).toBe('ready');
  source.write('still the same session');
  expect(String((await once(visitor, 'data'))[0])).toBe('still the same session');
});

it('without a certificate it reports why, retries, and delays no other service', async (ctx) => {
  const { at, ca, tls } = await world(ctx);
  const held = await handedOver();
  await ca.stop();
  const one = await agent({ acme: { schedule: { unreachableMs: { first: 200, factor: 1, max: 200 } } } });
  await one.runner.apply(desired([at.spec], service('web', held.port, { tls }), service('plain', held.port)));
  const { leases } = await one.runner.status();
  expect(leases.map(({ phase, error }) => [phase, error?.code])).toEqual([
    ['retrying', 'acme_unreachable'],
    ['ready', undefined],
  ]);
  await ca.start();
  await one.event('lease', ({ service: name, phase }) => name === 'web' && phase === 'ready');
  expect(await serial(at, 'web.localhost', await ca.root())).toMatch(/^[0-9A-F]+$/);
});

it('changes from the local CA to a public one in place', async (ctx) => {
  const { at, ca, tls } = await world(ctx);
  const held = await handedOver();
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', held.port)));
  const visitor = await visit(at, 'web.localhost', one.ca);
  const source = await held.next();
  await one.runner.apply(desired([at.spec], service('web', held.port, { tls })));
  const root = await ca.root();
  await expect.poll(() => serial(at, 'web.localhost', root).catch(() => 'not yet')).not.toBe('not yet');
  source.write('still here');
  expect(String((await once(visitor, 'data'))[0])).toBe('still here');
});

it('issues for several hostnames at the same time', async (ctx) => {
  const { at, ca, tls } = await world(ctx);
  const held = await handedOver();
  const one = await agent();
  const names = Array.from({ length: 8 }, (_, index) => `web${index}`);
  await one.runner.apply(desired([at.spec], ...names.map((name) => service(name, held.port, { tls }))));
  await one.event('ready');
  expect(ca.issued).toBe(names.length);
});
