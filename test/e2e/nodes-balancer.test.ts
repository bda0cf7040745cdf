import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { cluster, type TestCluster } from '../support/cluster.js';
import { agent, desired, get, handedOver, httpService, service } from '../support/world.js';

/**
 * A layer-4 balancer that sends all data connections of an agent to one node, for example by the address of the agent, while
 * its session is at another node.
 */

/** The session opens at node 0, and all data connections arrive at node `data`. */
function apart(at: TestCluster, data: number): void {
  at.route(() => (at.nodes[0]!.counts().sessions === 0 ? 0 : data));
}

async function published(at: TestCluster, over: Parameters<typeof service>[2] = {}) {
  const target = over.mode === 'tcp' || over.mode === 'stream' ? await handedOver() : undefined;
  const { port } = target ?? (await httpService((_request, response) => response.end('hello')));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port, over)));
  const ready = await one.event('lease', ({ phase }) => phase === 'ready');
  expect(at.nodes[0]!.counts().sessions).toBe(1);
  return { ...one, tcpAddr: ready.tcpAddr, target };
}

const OVER = ['loopback', 'TLS'] as const;

describe.each(OVER)('data connections that arrive at another node only, over %s', (over) => {
  it.each(['raw', 'tls'] as const)(
    'serve visitors at the node with the session, on carrier %s',
    async (carrier) => {
      const at = await cluster(2, { over });
      apart(at, 1);
      const one = await published(at, { carrier });
      const visits = Array.from({ length: 20 }, () => get(at.nodes[0]!, 'web.localhost', one.ca));
      for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
      expect(at.nodes[0]!.stats().visitorsForwarded).toBeGreaterThanOrEqual(20);
    },
  );

  it('serve visitors at a third node', async () => {
    const at = await cluster(3, { over });
    apart(at, 1);
    const one = await published(at);
    const visits = Array.from({ length: 20 }, () => get(at.nodes[2]!, 'web.localhost', one.ca));
    for (const { text } of await Promise.all(visits)) expect(text).toContain('hello');
  });

  it('serve visitors of a public TCP port', async () => {
    const at = await cluster(2, { over, ports: { tcp: 'any' } });
    apart(at, 1);
    const { tcpAddr, target } = await published(at, { mode: 'tcp' });
    const visitor = connect({ host: '127.0.0.1', port: Number(tcpAddr!.split(':')[1]) });
    visitor.write('hello');
    const socket = await target!.next();
    const text = await new Promise((resolve) =>
      socket.once('data', (chunk: Buffer) => resolve(String(chunk))),
    );
    visitor.destroy();
    expect(text).toBe('hello');
  });

  it('serve visitors at the node with the session after the other node crashed', async () => {
    const at = await cluster(3, { over });
    apart(at, 1);
    const one = await published(at);
    expect((await get(at.nodes[0]!, 'web.localhost', one.ca)).text).toContain('hello');
    at.route(() => 2);
    const crashed = at.crash(1);
    expect((await get(at.nodes[0]!, 'web.localhost', one.ca)).text).toContain('hello');
    await crashed;
  });
});
