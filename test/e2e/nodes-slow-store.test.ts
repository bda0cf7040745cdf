import { expect, it } from 'vitest';
import { MemoryStore } from '../../src/relay/store/memory.js';
import { deferred } from '../../src/lib/wait.js';
import { cluster, memoryEngine } from '../support/cluster.js';
import { agent, desired, get, httpService, service } from '../support/world.js';

it('serves a visitor that waits for an agent whose name takes long to reserve', async () => {
  const store = new MemoryStore();
  const reserve = store.reserve.bind(store);
  let reserving: Promise<unknown> | undefined;
  const reserved = deferred<void>();
  store.reserve = async (...args) => {
    await reserving;
    return reserve(...args);
  };
  const at = await cluster(3, { over: 'TLS' }, memoryEngine(60_000, store));
  at.route(() => 0);
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port)));
  await one.event('lease', ({ phase }) => phase === 'ready');
  reserving = reserved.promise;
  // The control channel arrives at one node, data connections at the other, where the visitor waits.
  let arrived = 0;
  at.route(() => (arrived++ === 0 ? 1 : 2));
  await at.crash(0);
  const visited = get({ port: at.nodes[2]!.port }, 'web.localhost', one.ca);
  // Its data connection is there, and the agent does not know the lease yet.
  await expect.poll(() => at.nodes[2]!.counts().waiting).toBe(1);
  await expect.poll(() => at.nodes[2]!.stats().dataConnections.opened).toBeGreaterThan(0);
  reserved.resolve();
  expect((await visited).text).toContain('hello');
});
