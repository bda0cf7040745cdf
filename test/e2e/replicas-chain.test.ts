import { expect, it } from 'vitest';
import { chain } from '../support/chain.js';
import { eventually } from '../support/eventually.js';
import {
  greeting,
  replica,
  replicaOf,
  replicas,
  servedBy,
  siblings,
  type Replica,
} from '../support/replicas.js';
import { tcpService, type TestRelay } from '../support/world.js';

/** Replicas whose agents reach the relay over other relays. */

async function servedAt(at: TestRelay, one: Replica, count: number): Promise<string> {
  return (await servedBy(at, one, count)).toSorted().join('');
}

it.each([2, 3])('over a chain of %d relays, divide visitors and replace each other', async (length) => {
  const { entry, spec } = await chain(length);
  const [a, b] = await replicas(spec, ['a', 'b']);
  await eventually(async () => expect(await servedAt(entry, a!, 6)).toBe('aaabbb'));
  await a!.runner.stop({ reason: 'test', drainMs: 0 });
  expect(await servedAt(entry, b!, 3)).toBe('bbb');
});

it('one agent over a chain and one without share a name', async () => {
  const { entry, spec } = await chain(2);
  const as = await siblings();
  const far = await replica(spec, 'f', { as });
  const near = await replica(entry.spec, 'n', { as });
  await eventually(async () => expect(await servedAt(entry, far, 6)).toBe('fffnnn'));
  await near.runner.stop({ reason: 'test', drainMs: 0 });
  expect(await servedAt(entry, far, 3)).toBe('fff');
});

it('over a chain, share a public port', async () => {
  const { entry, spec } = await chain(2, { ports: { tcp: 'any' } });
  const as = await siblings();
  const all: Replica[] = [];
  for (const says of ['a', 'b']) {
    const port = await tcpService((socket) => void socket.end(says));
    all.push(await replicaOf(spec, says, { port, close: async () => undefined }, { as, mode: 'tcp' }));
  }
  const [a, b] = all;
  expect(b!.port).toBe(a!.port);
  await eventually(async () => {
    const served: string[] = [];
    for (let visitor = 0; visitor < 4; visitor++) served.push(await greeting(a!.port));
    expect(served.toSorted().join('')).toBe('aabb');
  });
  await a!.runner.stop({ reason: 'test', drainMs: 0 });
  expect(await greeting(b!.port)).toBe('b');
  expect(entry.counts().leases).toBe(1);
});
