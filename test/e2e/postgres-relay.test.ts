import { describe, expect, it, onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { generateIdentity } from '../../src/identity/keys.js';
import { EMPTY_LIST, readDenyList } from '../../src/relay/protection/access-lists.js';
import { ALONE } from '../../src/relay/nodes/nodes.js';
import { startRejoiningRelay, type JoinedNode } from '../../src/relay/nodes/rejoining-relay.js';
import { caFolder } from '../support/ca-pool.js';
import { log } from '../support/log.js';
import type { PostgresCluster } from '../../src/relay/postgres/cluster.js';
import { cluster, type Engine, type TestCluster } from '../support/cluster.js';
import { PostgresPath } from '../support/postgres-path.js';
import { postgresNode } from '../support/postgres-node.js';
import { usePostgres, type PostgresServer } from '../support/postgres.js';
import { agent, desired, get, httpService, service } from '../support/world.js';
import { Peer } from './relay-peer.js';

/** A relay of several nodes with PostgreSQL. Calls between the nodes stay in the test's process. */

const SETTINGS = {
  renewMs: 50,
  ttlMs: 2_000,
  renewalMs: 500,
  connectMs: 500,
  responseMs: 1_000,
  statementMs: 900,
};

/** The nodes of a database; each has its own path to it. */
function postgresEngine(server: PostgresServer) {
  const joined = new Map<string, { node: PostgresCluster; cutOff: () => void }>();
  let created: Promise<string> | undefined;
  const engine: Engine = {
    open: async (name) => {
      const url = new URL(await (created ??= server.database()));
      const path = await PostgresPath.open(server);
      let isFrozen = false;
      const node = await postgresNode(server.url(url.pathname.slice(1), path.folder), {
        node: name,
        nodeAddress: `${name}:7443`,
        settings: SETTINGS,
        // On a busy machine, a node must not expire before its test cuts it off.
        outageAt: () => (isFrozen ? undefined : performance.now()),
      });
      const cutOff = (): void => {
        isFrozen = true;
        path.freeze();
      };
      joined.set(name, { node, cutOff });
      return node;
    },
    crashed: () => undefined,
  };
  return { engine, of: (name: string) => joined.get(name)! };
}

async function published(at: TestCluster) {
  const { port } = await httpService((_request, response) => response.end('hello'));
  const one = await agent();
  await one.runner.apply(desired([at.spec], service('web', port)));
  await one.event('lease', ({ phase }) => phase === 'ready');
  return one;
}

const getAt = (at: TestCluster, node: number, one: Awaited<ReturnType<typeof published>>) =>
  get({ port: at.nodes[node]!.port }, 'web.localhost', one.ca);

const health = async (at: TestCluster, node: number) =>
  (await get({ port: at.nodes[node]!.port }, 'localhost', at.nodes[node]!.ca, '/healthz')).text;

describe('a relay of two nodes with PostgreSQL', () => {
  const server = usePostgres();

  it('serves visitors at either node', async () => {
    const at = await cluster(2, {}, postgresEngine(server).engine);
    const one = await published(at);
    for (let round = 0; round < 4; round++)
      for (const node of [0, 1]) expect((await getAt(at, node, one)).text).toContain('hello');
  });

  it('serves visitors while the database is down, and reports that', async () => {
    const at = await cluster(2, {}, postgresEngine(server).engine);
    const one = await published(at);
    expect(await health(at, 0)).toContain('ok');
    await server.stop();
    await expect.poll(() => at.nodes.map((node) => node.degraded())).not.toContain(undefined);
    for (const node of [0, 1]) expect((await getAt(at, node, one)).text).toContain('hello');
    expect(await health(at, 0)).toMatch(/^HTTP\/1\.1 200 .*does not respond/s);
    // Another service waits for the database.
    const { port } = await httpService((_request, response) => response.end('later'));
    const other = await agent();
    await other.runner.apply(desired([at.spec], service('other', port)));
    await expect
      .poll(() => other.events.map((event) => JSON.stringify(event)).join('\n'))
      .toContain('relay_busy');
    await server.start();
    await other.event('lease', ({ phase }) => phase === 'ready');
    await expect.poll(() => at.nodes.map((node) => node.degraded())).toEqual([undefined, undefined]);
  });

  it('serves the agents of a node that is cut off from the database at the other node', async () => {
    const postgres = postgresEngine(server);
    const at = await cluster(2, {}, postgres.engine);
    // The session is at the first node, and later at the other.
    at.route(() => 0);
    const one = await published(at);
    expect(at.nodes.map((node) => node.counts().sessions)).toEqual([1, 0]);
    const { node, cutOff } = postgres.of('n0');
    const ended = new Promise<void>((resolve) =>
      node.onExpired(() => {
        at.route(() => 1);
        void at.crash(0).then(resolve);
        // Before another visitor can arrive.
        expect(at.nodes[0]!.counts().leases).toBe(0);
      }),
    );
    cutOff();
    await ended;
    await expect.poll(() => at.nodes[1]!.counts().sessions).toBe(1);
    expect((await getAt(at, 1, one)).text).toContain('hello');
  });

  it('lets visitors wait for the agents of a node that stopped without moving them', async () => {
    const at = await cluster(2, {}, postgresEngine(server).engine);
    at.route(() => 0);
    const one = await published(at);
    at.route(() => 1);
    await at.nodes[0]!.close({ drainMs: 0 });
    expect((await getAt(at, 1, one)).text).toContain('hello');
  });

  it('denies an identity at all nodes, also at one that starts later, while one node lists it', async () => {
    const at = await cluster(2, {}, postgresEngine(server).engine);
    // The session is at the first node, and the list at the other.
    at.route(() => 0);
    const one = await published(at);
    const mark = one.events.length;
    at.nodes[1]!.deny(readDenyList(one.identity.address));
    const lost = await one.event('lease', ({ error }) => error?.code === 'unauthorized', mark);
    expect(lost.error?.message).toContain('denies this identity');
    await expect.poll(() => at.nodes[0]!.counts()).toMatchObject({ sessions: 0, leases: 0 });
    await one.runner.stop({ reason: 'makes room', drainMs: 0 });
    const later = await at.join();
    const { identity } = one;
    const lease = async (node: Parameters<typeof Peer.open>[0]) =>
      (await Peer.open(node, { identity })).lease('web');
    for (const node of [at.nodes[0]!, later]) await expect(lease(node)).rejects.toThrow('unauthorized');
    at.nodes[1]!.deny(EMPTY_LIST);
    await expect.poll(() => lease(later).then(() => 'open', String)).toBe('open');
  });

  it('joins again under a new name after a node was cut off', async () => {
    const url = new URL(await server.database());
    const path = await PostgresPath.open(server);
    const names: string[] = [];
    let isFrozen = false;
    const join = async (): Promise<JoinedNode> => {
      const node = await postgresNode(server.url(url.pathname.slice(1), path.folder), {
        settings: SETTINGS,
        outageAt: () => (isFrozen ? undefined : performance.now()),
      });
      names.push(node.node);
      return { ...node, started: () => undefined, cluster: { ...node, nodes: ALONE } };
    };
    const ca = await openLocalCa(await caFolder());
    const relay = await startRejoiningRelay(
      {
        domain: 'localhost',
        host: '127.0.0.1',
        port: 0,
        tls: await ca.issue(['localhost', '127.0.0.1', '::1']),
        store: 'memory',
        identity: generateIdentity(),
        log,
      },
      join,
    );
    onTestFinished(() => relay.close());
    const { port } = relay;
    const target = await httpService((_request, response) => response.end('hello'));
    const one = await agent();
    const spec = { kind: 'url', url: relay.url, caFile: ca.certificateFile } as const;
    await one.runner.apply(desired([spec], service('web', target.port)));
    await one.event('lease', ({ phase }) => phase === 'ready');
    const mark = one.events.length;
    isFrozen = true;
    path.freeze();
    await expect.poll(() => relay.problem()).toContain('joins it again');
    isFrozen = false;
    path.restore();
    await one.event('lease', ({ phase }) => phase === 'ready', mark);
    expect([relay.problem(), relay.port]).toEqual([undefined, port]);
    expect(relay.stats()).toMatchObject({ expirations: 1, cluster: { leases: 1 } });
    expect(new Set(names).size).toBe(2);
    expect((await get({ port }, 'web.localhost', one.ca)).text).toContain('hello');
  });
});
