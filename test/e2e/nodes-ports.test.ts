import { expect, it } from 'vitest';
import { cluster } from '../support/cluster.js';
import { agent, desired, httpService, service } from '../support/world.js';

/** Public ports of a relay of several nodes, each of which has a host of its own. */

it('announces the new address of a service whose node stops', async () => {
  const at = await cluster(2, {
    hostOf: (node) => `127.0.0.${2 + Number(node.slice(1))}`,
    ports: { tcp: 'any' },
  });
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  at.route(() => 0);
  await one.runner.apply(desired([at.spec], service('web', port, { mode: 'tcp' })));
  const { tcpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  expect(tcpAddr).toMatch(/^127\.0\.0\.2:/);
  at.route(() => 1);
  await at.stop(0);
  const moved = await one.event('lease', ({ tcpAddr: next }) => next?.startsWith('127.0.0.3:') === true);
  expect(moved).toMatchObject({ phase: 'ready', proven: true });
});
