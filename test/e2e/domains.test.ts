import { request, type IncomingMessage } from 'node:http';
import type { RecordType } from 'dns-packet';
import { expect, it } from 'vitest';
import { generateIdentity } from '../../src/identity/keys.js';
import type { RelayLimits } from '../../src/relay/relay.js';
import { dnsServer, everythingHere, type Said, type TestDns } from '../support/dns-server.js';
import { pebble } from '../support/pebble.js';
import {
  agent,
  desired,
  get,
  httpService,
  relay,
  service,
  type TestAgent,
  type TestRelay,
} from '../support/world.js';

const HOSTNAME = 'shop.acme.test';
const RECORD = `_portal.${HOSTNAME}`;

interface World {
  readonly at: TestRelay;
  readonly dns: TestDns;
  /** The DNS answer for the record from now on: its texts, or a failure. */
  readonly says: (said: readonly string[] | Exclude<Said, readonly unknown[]>) => void;
}

async function world(limits: Partial<RelayLimits> = {}): Promise<World> {
  let said: readonly string[] | Exclude<Said, readonly unknown[]> = 'NXDOMAIN';
  const dns = await dnsServer((name: string, type: RecordType) => {
    if (type !== 'TXT') return everythingHere(name, type);
    if (name !== RECORD) return 'NXDOMAIN';
    return typeof said === 'string' ? said : said.map((data) => ({ type: 'TXT', name, ttl: 1, data }));
  });
  const at = await relay({ dnsServers: [dns.address], limits: { domainRetryMs: 100, ...limits } });
  return { at, dns, says: (next) => void (said = next) };
}

const names = (...agents: TestAgent[]): string[] =>
  agents.map(({ identity }) => `portal-address=${identity.address}`);

async function publish(one: TestAgent, at: TestRelay, hostname = HOSTNAME): Promise<void> {
  const { port } = await httpService((_request, response) => response.end('the shop'));
  await one.runner.apply(desired([at.spec], service('shop', port, { hostname })));
}

const lease = async (one: TestAgent) => (await one.runner.status()).leases[0]!;

const isPhase =
  (phase: string, code?: string) =>
  (event: { phase: string; error?: { code: string } }): boolean =>
    event.phase === phase && event.error?.code === code;

it('names the missing record, and accepts the hostname once it exists', async () => {
  const { at, says } = await world();
  const one = await agent();
  await publish(one, at);
  const { phase, error } = await lease(one);
  expect({ phase, code: error?.code }).toEqual({ phase: 'retrying', code: 'domain_unproven' });
  expect(error?.message).toContain(`_portal.${HOSTNAME}. TXT "portal-address=${one.identity.address}"`);
  says(['something else', names(one)[0]!.toLowerCase()]);
  const { url } = await one.event('lease', isPhase('ready'));
  expect(url).toBe(`https://${HOSTNAME}:${at.port}`);
  expect((await get(at, HOSTNAME, one.ca)).text).toContain('the shop');
  // Plain HTTP redirects to it, as for the relay's own names.
  const headers = { host: HOSTNAME };
  const inTheClear = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ host: '127.0.0.1', port: at.port, path: '/a', headers, agent: false }, resolve)
      .once('error', reject)
      .end();
  });
  inTheClear.resume();
  expect(inTheClear.headers.location).toBe(`https://${HOSTNAME}:${at.port}/a`);
});

it('gives a hostname only to identities in its records, to one of them at a time', async () => {
  const { at, says } = await world();
  const [first, second, stranger] = [await agent(), await agent(), await agent()];
  says(names(first, second));
  await publish(first, at);
  expect((await lease(first)).phase).toBe('ready');
  await publish(stranger, at);
  expect((await lease(stranger)).error).toMatchObject({
    code: 'domain_unproven',
    message: expect.stringContaining('names another identity') as string,
  });
  await publish(second, at);
  expect((await lease(second)).error?.code).toBe('name_taken');
});

it('is withdrawn when the record disappears', async () => {
  const { at, says } = await world({ domainRecheckMs: 100 });
  const one = await agent();
  says(names(one));
  await publish(one, at);
  expect((await lease(one)).phase).toBe('ready');
  const from = one.events.length;
  says('NXDOMAIN');
  await one.event('lease', isPhase('retrying', 'domain_unproven'), from);
  const reported = one.events
    .slice(from)
    .flatMap((event) => (event.event === 'lease' ? [event.error?.message] : []));
  expect(reported[0]).toContain('no longer names your identity');
  await expect(get(at, HOSTNAME, one.ca)).rejects.toThrow(/unrecognized name|closed before secure/);
  says(names(one));
  await one.event('lease', isPhase('ready'), from);
});

it('is not withdrawn while DNS does not respond, until the grace period ends', async () => {
  const { at, dns, says } = await world({ domainRecheckMs: 50, domainGraceMs: 3_000 });
  const one = await agent();
  says(names(one));
  await publish(one, at);
  const from = one.events.length;
  says('SERVFAIL');
  const requested = dns.requested.length;
  await expect.poll(() => dns.requested.length).toBeGreaterThan(requested + 4);
  expect((await lease(one)).phase).toBe('ready');
  const { error } = await one.event('lease', isPhase('retrying', 'not_found'), from);
  expect(error?.message).toContain('DNS did not answer for too long');
});

it('looks up an unproven hostname only rarely', async () => {
  const { at, dns } = await world({ domainRetryMs: 60_000 });
  const identity = generateIdentity();
  const [one, two] = [await agent({ identity }), await agent({ identity })];
  await publish(one, at);
  const requested = dns.requested.length;
  expect(requested).toBeGreaterThan(0);
  await publish(two, at);
  expect((await lease(two)).error?.code).toBe('domain_unproven');
  expect(dns.requested).toHaveLength(requested);
});

it.each(['web.localhost', 'nodots', '127.0.0.1', 'a_-.test', 'two..dots.test'])(
  '%s is not a valid custom domain',
  async (hostname) => {
    const { at, dns } = await world();
    const one = await agent();
    await publish(one, at, hostname);
    expect(await lease(one)).toMatchObject({ phase: 'failed', error: { code: 'name_invalid' } });
    expect(dns.requested).toEqual([]);
  },
);

it('on two relays it has one certificate, from one order', async (ctx) => {
  const { at, dns, says } = await world();
  const other = await relay({ ca: at.ca, dnsServers: [dns.address] });
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address });
  const one = await agent();
  says(names(one));
  const { port } = await httpService((_request, response) => response.end('the shop'));
  const tls = { source: 'acme', ...ca.spec } as const;
  const shop = service('shop', port, { hostname: HOSTNAME, tls });
  await one.runner.apply(desired([at.spec], shop));
  await one.runner.apply(desired([at.spec, other.spec], shop));
  const { leases } = await one.runner.status();
  expect(leases.map(({ phase }) => phase)).toEqual(['ready', 'ready']);
  expect(ca.issued).toBe(1);
  const trust = { ...one.ca, certificatePem: await ca.root() };
  for (const each of [at, other]) expect((await get(each, HOSTNAME, trust)).text).toContain('the shop');
});

it('gets a certificate from a public CA', async (ctx) => {
  const { at, dns, says } = await world();
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address });
  const one = await agent();
  says(names(one));
  const { port } = await httpService((_request, response) => response.end('the shop'));
  const tls = { source: 'acme', ...ca.spec } as const;
  await one.runner.apply(desired([at.spec], service('shop', port, { hostname: HOSTNAME, tls })));
  expect((await lease(one)).phase).toBe('ready');
  const trust = { ...one.ca, certificatePem: await ca.root() };
  expect((await get(at, HOSTNAME, trust)).text).toContain('the shop');
});
