import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { cluster, type NodesOver } from '../support/cluster.js';
import { udpService, udpVisitor } from '../support/udp.js';
import { agent, desired, service } from '../support/world.js';

/** Datagrams of an agent whose session is at one node, and whose WebSocket arrives at another one. */

async function published(over: NodesOver) {
  const at = await cluster(2, { over, ports: { udp: 'any' } });
  // The session begins at the first node. Every later connection arrives at the second one.
  at.route(() => at.nodes[0]!.counts().sessions);
  const echo = await udpService();
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('echo', echo.port, { mode: 'udp', carrier: 'ws' })));
  const { udpAddr } = await one.event('lease', ({ phase }) => phase === 'ready');
  return { at, one, visitor: await udpVisitor(Number(udpAddr!.split(':')[1])) };
}

describe.each<NodesOver>(['loopback', 'TLS'])('nodes that reach each other over %s', (over) => {
  it('forward the WebSocket of a session to the node with the session', async () => {
    const { at, visitor } = await published(over);
    expect(await visitor.ask('hello')).toBe('hello');
    const large = randomBytes(20_000).toString('hex');
    expect(await visitor.ask(large)).toBe(large);
    expect(at.nodes.map((node) => node.counts().sessions)).toEqual([1, 0]);
  });

  it('open another WebSocket when the node that forwarded it crashed', async () => {
    const { at, one, visitor } = await published(over);
    expect(await visitor.ask('hello')).toBe('hello');
    at.route(() => 0);
    await at.crash(1);
    expect(await visitor.ask('again')).toBe('again');
    expect((await one.runner.status()).leases).toMatchObject([{ phase: 'ready' }]);
  });
});
