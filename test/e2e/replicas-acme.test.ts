import { expect, it } from 'vitest';
import type { RelaySpec, ServiceSpec } from '../../src/agent/spec.js';
import { cluster } from '../support/cluster.js';
import { dnsServer, everythingHere } from '../support/dns-server.js';
import { eventually } from '../support/eventually.js';
import { pebble } from '../support/pebble.js';
import { replicaOf, siblings, type Replica } from '../support/replicas.js';
import { relay, tcpService, visit } from '../support/world.js';

/** Replicas that order certificates of a CA, which connects to any of them. */

async function acmeReplicas(
  at: RelaySpec,
  count: number,
  { as, ...over }: Partial<ServiceSpec> & { as?: Awaited<ReturnType<typeof siblings>> },
): Promise<Replica[]> {
  const shared = as ?? (await siblings());
  const port = await tcpService((socket) => void socket.end('hello'));
  const local = { port, close: async () => undefined };
  // At the same time: the CA validates them one after another.
  return Promise.all(
    Array.from({ length: count }, (_, index) => replicaOf(at, `${index}`, local, { as: shared, ...over })),
  );
}

/** The certificates that visitors get, by serial number. */
async function serialsAt(at: { port: number }, root: string, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let index = 0; index < count; index++) {
    const visitor = await visit(at, 'web.localhost', { certificatePem: root } as never);
    all.push(visitor.getPeerCertificate().serialNumber);
    visitor.destroy();
  }
  return all;
}

it('each replica gets its own certificate, although the CA may connect to any of them', async (ctx) => {
  const at = await relay();
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address });
  await acmeReplicas(at.spec, 3, { tls: { source: 'acme', ...ca.spec } });
  expect(ca.issued).toBe(3);
  const root = await ca.root();
  await eventually(async () => expect(new Set(await serialsAt(at, root, 9)).size).toBe(3));
});

it('a replica on standby gets its certificate before it serves', async (ctx) => {
  const at = await relay();
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.port, dns: dns.address });
  const tls = { source: 'acme', ...ca.spec } as const;
  const as = await siblings();
  const [first] = await acmeReplicas(at.spec, 1, { tls, replicas: 'failover', as });
  await acmeReplicas(at.spec, 1, { tls, replicas: 'failover', as });
  const root = await ca.root();
  const before = new Set(await serialsAt(at, root, 3));
  expect(before.size).toBe(1);
  // No order is possible from now on.
  await ca.stop();
  await first!.runner.stop({ reason: 'test', drainMs: 0 });
  const after = new Set(await serialsAt(at, root, 3));
  expect([after.size, new Set([...before, ...after]).size]).toEqual([1, 2]);
});

it('replicas at different nodes get their certificates, wherever the CA connects to', async (ctx) => {
  const at = await cluster(2);
  const dns = await dnsServer(everythingHere);
  const ca = await pebble(ctx, { tlsPort: at.path.port, dns: dns.address });
  // In turns: the sessions of the agents, their data connections and the CA.
  await acmeReplicas(at.spec, 2, { tls: { source: 'acme', ...ca.spec } });
  expect(ca.issued).toBe(2);
  const root = await ca.root();
  for (const node of at.nodes)
    await eventually(async () => expect(new Set(await serialsAt(node, root, 6)).size).toBe(2));
});
