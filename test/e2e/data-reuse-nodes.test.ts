import { describe, expect, it } from 'vitest';
import type { RelaySpec } from '../../src/agent/spec.js';
import { cluster, type NodesOver } from '../support/cluster.js';
import { hashService, visitAtOnce } from '../support/hash-service.js';
import { agent, desired, get, service, type TestRelay } from '../support/world.js';
import { Person, type Running } from './cli-support.js';

/** Data connections for several visitors, at a relay of several nodes or processes. */

const CARRIERS = ['tls', 'ws'] as const;
type Carrier = (typeof CARRIERS)[number];

const reusedAt = (at: TestRelay): number => at.stats().dataConnections['reused'] ?? 0;

/** An agent whose service `web` responds with hashes. Resolves when it is ready. */
async function published(at: RelaySpec, carrier: Carrier) {
  const { port } = await hashService();
  const one = await agent();
  await one.runner.apply(desired([at], service('web', port, { carrier })));
  await one.event('lease', ({ phase }) => phase === 'ready');
  return one;
}

describe.each([
  ['loopback', 'tls'],
  ['TLS', 'ws'],
] as const)('at nodes that reach each other over %s, with carrier %s', (over: NodesOver, carrier) => {
  it('a node reuses connections although the session of the agent is at another node', async () => {
    const at = await cluster(2, { over });
    at.route(() => 0);
    const { ca } = await published(at.spec, carrier);
    at.route(() => Math.floor(Math.random() * 2));
    let turn = 0;
    await visitAtOnce(8, 12, () => at.nodes[turn++ % 2]!, ca);
    for (const node of at.nodes) expect(reusedAt(node)).toBeGreaterThan(0);
    expect(at.nodes[0]!.counts().sessions).toBe(1);
  });

  it('a visitor that a node forwards is served on a reused connection of the other node', async () => {
    const at = await cluster(2, { over });
    // All data connections arrive at the node with the session.
    at.route(() => 0);
    const { ca } = await published(at.spec, carrier);
    await visitAtOnce(4, 10, () => at.nodes[1]!, ca);
    expect(at.nodes[1]!.stats().visitorsForwarded).toBeGreaterThan(10);
    expect([reusedAt(at.nodes[0]!) > 0, reusedAt(at.nodes[1]!)]).toEqual([true, 0]);
    // At first up to 16 for a visitor: the node tries whether one of them arrives there.
    const before = at.nodes[0]!.stats().dataConnections['opened']!;
    await visitAtOnce(1, 20, () => at.nodes[1]!, ca);
    expect(at.nodes[0]!.stats().dataConnections['opened']! - before).toBeLessThanOrEqual(40);
  });

  it('visitors are served after a node crashed that kept connections', async () => {
    const at = await cluster(2, { over });
    at.route(() => 0);
    const { ca } = await published(at.spec, carrier);
    at.route(() => Math.floor(Math.random() * 2));
    let turn = 0;
    await visitAtOnce(4, 6, () => at.nodes[turn++ % 2]!, ca);
    at.route(() => 0);
    await at.crash(1);
    await visitAtOnce(4, 6, () => at.nodes[0]!, ca);
    expect(reusedAt(at.nodes[0]!)).toBeGreaterThan(0);
  });
});

async function start(...options: string[]) {
  const operator = await Person.create();
  return { operator, ...(await startOf(operator, '--listen', '127.0.0.1:0', ...options)) };
}

async function startOf(operator: Person, ...options: string[]) {
  const running: Running = operator.start(['relay', '--json', '--metrics', '0', ...options]);
  const { url, ca, metrics } = (await running.event('listening')) as unknown as Record<string, string>;
  return {
    running,
    spec: { kind: 'url', url: url!, caFile: ca! } as const,
    port: Number(new URL(url!).port),
    /** How many visitors came on a connection that had served another one. */
    reused: async (): Promise<number> => {
      const text = await (await fetch(metrics!)).text();
      return Number(/^portal_relay_data_connections_total\{how="reused"\} (\d+)$/m.exec(text)?.[1]);
    },
  };
}

describe.each(CARRIERS)('with carrier %s', (carrier) => {
  it('two workers reuse connections, and serve each visitor with its own bytes', async () => {
    const at = await start('--workers', '2');
    const { ca } = await published(at.spec, carrier);
    await visitAtOnce(10, 10, () => at, ca);
    expect(await at.reused()).toBeGreaterThan(20);
  });
});

describe.each(['1', '2'])('a relay with --workers %s that restarts', (count) => {
  it('does not wait for connections without a visitor, and the next relay reuses new ones', async () => {
    const options = ['--workers', count, '--drain', '10m'];
    const { operator, ...old } = await start(...options);
    const one = await published(old.spec, 'tls');
    await visitAtOnce(4, 8, () => old, one.ca);
    expect(await old.reused()).toBeGreaterThan(4);
    const mark = one.events.length;
    old.running.kill('SIGTERM');
    const listen = ['--listen', `127.0.0.1:${old.port}`, '--take-over', '1m'];
    const next = await startOf(operator, ...options, ...listen);
    // A visitor before the agent returns waits.
    expect((await get(next, 'web.localhost', one.ca)).text).toContain('/ ');
    expect((await old.running.finished).code).toBe(0);
    await one.event('lease', ({ phase }) => phase === 'ready', mark);
    await visitAtOnce(4, 8, () => next, one.ca);
    expect(await next.reused()).toBeGreaterThan(4);
  });
});
