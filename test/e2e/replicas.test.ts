import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { replica, replicas, servedBy, siblings, type Replica } from '../support/replicas.js';
import { seen, signIn } from '../support/sign-in.js';
import { Peer } from './relay-peer.js';
import { agent, desired, get, httpService, relay, service, visit } from '../support/world.js';

const countsOf = (all: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    [...new Set(all)].toSorted().map((one) => [one, all.filter((other) => other === one).length]),
  );

describe.each(['stream', 'http'] as const)('replicas in mode %s', (mode) => {
  it('divide visitors evenly', async () => {
    const at = await relay();
    const [a] = await replicas(at.spec, ['a', 'b', 'c'], { mode });
    // A replica that was slow gets no visitors for a few seconds.
    await eventually(async () => expect(countsOf(await servedBy(at, a!, 12))).toEqual({ a: 4, b: 4, c: 4 }));
  });

  it('with failover, serve in the order in which they opened', async () => {
    const at = await relay();
    const [a, b, c] = await replicas(at.spec, ['a', 'b', 'c'], { mode, replicas: 'failover' });
    expect(countsOf(await servedBy(at, c!, 3))).toEqual({ a: 3 });
    await a!.runner.stop({ reason: 'test', drainMs: 0 });
    expect(countsOf(await servedBy(at, c!, 3))).toEqual({ b: 3 });
    await b!.runner.stop({ reason: 'test', drainMs: 0 });
    expect(countsOf(await servedBy(at, c!, 3))).toEqual({ c: 3 });
  });
});

describe('a replica gets no new visitors', () => {
  it('while its local service does not respond', async () => {
    const at = await relay();
    const [a, b] = await replicas(at.spec, ['a', 'b'], { mode: 'http' });
    await b!.closeTarget();
    await eventually(async () => expect(countsOf(await servedBy(at, a!, 4))).toEqual({ a: 4 }));
    expect(await get(at, 'web.localhost', a!.ca)).toMatchObject({ status: 200 });
  });

  it('once it has stopped, while its connected visitors finish', async () => {
    const at = await relay();
    const [a, b] = await replicas(at.spec, ['a', 'b']);
    const connected = [];
    for (let index = 0; index < 2; index++) connected.push(await visit(at, 'web.localhost', a!.ca));
    const stopping = b!.runner.stop({ reason: 'test', drainMs: 10_000 });
    await b!.event('lease', ({ phase }) => phase === 'draining');
    await eventually(() => expect(at.counts().leases).toBe(1));
    expect(countsOf(await servedBy(at, a!, 4))).toEqual({ a: 4 });
    await stopping;
  });
});

/** Waits until the status of an agent shows its own use, and that of the others. */
const shows = (one: Replica | undefined, use: string, ...others: readonly string[]): Promise<void> =>
  eventually(async () => {
    const [{ replicas: shown } = {}] = (await one!.runner.status()).leases;
    expect([shown?.use, ...(shown?.others ?? []).map((other) => other.use)]).toEqual([use, ...others]);
  });

it('the status of an agent shows which others serve its name, and which get visitors', async () => {
  const at = await relay();
  const [a, b, c] = await replicas(at.spec, ['a', 'b', 'c'], { mode: 'http', replicas: 'failover' });
  await shows(a, 'active', 'standby', 'standby');
  await shows(c, 'standby', 'active', 'standby');
  const known = (await a!.runner.status()).leases[0]!.replicas!.others.map((other) => other.agent);
  const { agents } = await seen(at, await signIn(at, a!.identity));
  expect(agents.map(({ id }) => id)).toEqual(expect.arrayContaining(known));
  await a!.closeTarget();
  await shows(a, 'unhealthy', 'active', 'standby');
  await a!.runner.stop({ reason: 'test', drainMs: 0 });
  await shows(b, 'active', 'standby');
  await c!.runner.stop({ reason: 'test', drainMs: 0 });
  await shows(b, 'active');
});

it('a visitor moves to another replica if its data connection does not arrive', async () => {
  const at = await relay();
  const as = await siblings();
  // Opens no data connection.
  const hung = await Peer.open(at, { identity: as.identity, instance: 'hung' });
  await hung.lease('web', { replicas: { policy: 'failover' } });
  const a = await replica(at.spec, 'a', { as, replicas: 'failover' });
  expect(countsOf(await servedBy(at, a, 3))).toEqual({ a: 3 });
  hung.ws.terminate();
  expect(countsOf(await servedBy(at, a, 2))).toEqual({ a: 2 });
});

it('the owner sees which agents serve the name', async () => {
  const at = await relay();
  const as = await siblings();
  const a = await replica(at.spec, 'a', { as, replicas: 'failover' });
  await replica(at.spec, 'b', { as, replicas: 'failover' });
  const token = await signIn(at, as.identity);
  const states = async (): Promise<unknown> =>
    (await seen(at, token)).agents.flatMap(({ services }) => services.map((one) => one.replica));
  await eventually(async () => expect(await states()).toEqual(['active', 'standby']));
  await a.closeTarget();
  await eventually(async () => expect(await states()).toEqual(['unhealthy', 'active']));
});

describe('agents of one identity', () => {
  it('reject an agent without `replicas` while replicas serve the name, and say why', async () => {
    const at = await relay();
    const as = await siblings();
    await replica(at.spec, 'a', { as });
    const alone = await agent(as);
    const local = await httpService((_request, response) => response.end('alone'));
    await alone.runner.apply(desired([at.spec], service('web', local.port)));
    const { error } = await alone.event('lease', ({ error: one }) => one !== undefined);
    expect(error).toMatchObject({
      code: 'name_taken',
      message: expect.stringContaining('set `replicas` here too'),
    });
  });

  it('change from one to several in place', async () => {
    const at = await relay();
    const as = await siblings();
    const local = await httpService((_request, response) => response.end('first'));
    const first = await agent(as);
    const of = (over = {}) => desired([at.spec], service('web', local.port, over));
    await first.runner.apply(of());
    await first.event('ready');
    const before = first.runner.snapshot().leases[0]!.lease;
    await first.runner.apply(of({ replicas: 'spread' }));
    const second = await replica(at.spec, 'second', { as });
    expect(countsOf(await servedBy(at, second, 4))).toEqual({ first: 2, second: 2 });
    expect(first.runner.snapshot().leases[0]).toMatchObject({ lease: before, phase: 'ready' });
    await second.runner.stop({ reason: 'test', drainMs: 0 });
    await first.runner.apply(of());
    expect(countsOf(await servedBy(at, first, 2))).toEqual({ first: 2 });
  });

  it('share no name with another identity', async () => {
    const at = await relay();
    await replicas(at.spec, ['a', 'b']);
    const other = await agent();
    const local = await httpService((_request, response) => response.end('other'));
    await other.runner.apply(desired([at.spec], service('web', local.port, { replicas: 'spread' })));
    const { error } = await other.event('lease', ({ error: one }) => one !== undefined);
    expect(error).toMatchObject({ code: 'name_taken' });
  });
});
