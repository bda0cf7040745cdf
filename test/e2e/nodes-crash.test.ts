import { expect, it } from 'vitest';
import { cluster } from '../support/cluster.js';
import { agent, desired, get, httpService, service } from '../support/world.js';

/** Visitors in the moment in which the node of their agent crashes. */

it.each(['raw', 'tls', 'ws'] as const)(
  'serves a visitor again whose notice was lost with a node, with carrier %s',
  async (carrier) => {
    const at = await cluster(2);
    // The session is at the first node, and every data connection arrives at the second one.
    at.route(() => at.nodes[0]!.counts().sessions);
    const { port } = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    await one.runner.apply(desired([at.spec], service('web', port, { carrier })));
    await one.event('lease', ({ phase }) => phase === 'ready');
    const visit = () => get({ port: at.nodes[1]!.port }, 'web.localhost', one.ca);
    expect((await visit()).text).toContain('hello');
    const counts = () => at.nodes[1]!.counts();
    await expect.poll(() => [counts().visitors, counts().tickets]).toEqual([0, 0]);
    at.hold(1, 0);
    const visitor = visit();
    await expect.poll(() => counts().waiting + counts().visitors).toBe(1);
    at.route(() => 1);
    await at.crash(0);
    expect((await visitor).text).toContain('hello');
  },
);
