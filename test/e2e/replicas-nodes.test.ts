import { describe, expect, it } from 'vitest';
import { cluster, type TestCluster } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { greeting, replica, servedBy, siblings, tcpReplica, type Replica } from '../support/replicas.js';

/** Replicas whose sessions are at different nodes of a relay. */

/** Replicas, each with its session at the node with the same index. */
async function oneAtEach(at: TestCluster, names: readonly string[], start = replica): Promise<Replica[]> {
  const as = await siblings();
  const all: Replica[] = [];
  for (const [node, says] of names.entries()) {
    at.route(() => node % at.nodes.length);
    all.push(await start(at.spec, says, { as }));
  }
  return all;
}

/** Which agents serve `count` visitors that arrive at `node`. */
async function servedAt(at: TestCluster, node: number, one: Replica, count: number): Promise<string> {
  return (await servedBy(at.nodes[node]!, one, count)).toSorted().join('');
}

describe.each(['loopback', 'TLS'] as const)('replicas at nodes that reach each other over %s', (over) => {
  it('divide the visitors of every node evenly', async () => {
    const at = await cluster(2, { over });
    const [a] = await oneAtEach(at, ['a', 'b', 'c', 'd']);
    at.route(() => Math.floor(Math.random() * 2));
    // A replica that was slow gets no visitors for a few seconds.
    for (const node of [0, 1])
      await eventually(async () => expect(await servedAt(at, node, a!, 8)).toBe('aabbccdd'));
  });

  it('serve the visitors of an agent that stops, at every node', async () => {
    const at = await cluster(2, { over });
    const [a, b] = await oneAtEach(at, ['a', 'b']);
    at.route(() => Math.floor(Math.random() * 2));
    await b!.runner.stop({ reason: 'test', drainMs: 0 });
    for (const node of [0, 1]) expect(await servedAt(at, node, a!, 4)).toBe('aaaa');
  });

  it('serve all visitors when a node crashes', async () => {
    const at = await cluster(2, { over });
    const [a] = await oneAtEach(at, ['a', 'b']);
    at.route(() => 0);
    await at.crash(1);
    await eventually(async () => expect(await servedAt(at, 0, a!, 1)).toBe('a'));
    expect((await servedAt(at, 0, a!, 8)).length).toBe(8);
  });
});

it('an agent that stops serves the visitors that another node has sent it', async () => {
  const at = await cluster(2);
  const [a, b] = await oneAtEach(at, ['a', 'b']);
  at.route(() => 1);
  expect(await servedAt(at, 1, a!, 4)).toBe('aabb');
  // Node 1 has data connections of both.
  await expect.poll(() => at.nodes.map((node) => node.counts().tickets)).toEqual([0, 0]);
  const release = at.hold(1, 0);
  const visits = [servedAt(at, 1, a!, 1), servedAt(at, 1, a!, 1)];
  expect(await Promise.race(visits)).toBe('b');
  await expect.poll(() => at.nodes[1]!.counts().visitors).toBe(1);
  const stopped = a!.runner.stop({ reason: 'test', drainMs: 10_000 });
  await expect.poll(() => at.nodes[0]!.counts().leases).toBe(0);
  release();
  expect((await Promise.all(visits)).toSorted()).toEqual(['a', 'b']);
  await stopped;
  expect(await servedAt(at, 1, b!, 2)).toBe('bb');
});

describe('replicas with a public port', () => {
  it('are visited by their own agents through the node of another one', async () => {
    const at = await cluster(2, { ports: { tcp: 'any' } });
    const [, b] = await oneAtEach(at, ['a', 'b'], (spec, says, over) =>
      tcpReplica(spec, says, { ...over, replicas: 'failover' }),
    );
    expect(await greeting(b!.port)).toBe('a');
    const [lease] = b!.runner.snapshot().leases;
    expect(lease).toMatchObject({ phase: 'ready', provenAt: expect.any(String) });
    expect(lease!.unproven).toBeUndefined();
  });

  it('have it at one node, and at another one when that agent ends', async () => {
    const at = await cluster(2, { ports: { tcp: 'any' } });
    const [a, b] = await oneAtEach(at, ['a', 'b'], tcpReplica);
    expect(b!.port).toBe(a!.port);
    at.route(() => Math.floor(Math.random() * 2));
    await eventually(async () => {
      const served = [];
      for (let index = 0; index < 6; index++) served.push(await greeting(a!.port));
      expect(served.toSorted().join('')).toBe('aaabbb');
    });
    await a!.runner.stop({ reason: 'test', drainMs: 0 });
    await eventually(async () => expect(await greeting(b!.port)).toBe('b'));
  });
});
