import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { claimOf } from '../../src/relay/directory/contract.js';
import type { LeaseChange, LeaseDirectory } from '../../src/relay/directory/directory.js';
import { Database } from '../../src/relay/postgres/database.js';
import * as statements from '../../src/relay/postgres/statements.js';
import { log } from '../support/log.js';
import { PostgresPath } from '../support/postgres-path.js';
import { postgresNode } from '../support/postgres-node.js';
import { usePostgres, type PostgresServer } from '../support/postgres.js';

/** How nodes of a relay notice each other's end, with short times. */

const [ALICE, BOB] = ['0xA', '0xB'];
const FAST = {
  renewMs: 50,
  ttlMs: 1_500,
  renewalMs: 1_000,
  connectMs: 1_000,
  responseMs: 1_500,
  statementMs: 1_400,
};
/** For tests of everything but the end of a node: no machine is that slow. */
const LONG = { ...FAST, ttlMs: 120_000 };

function heard(directory: LeaseDirectory): LeaseChange[] {
  const changes: LeaseChange[] = [];
  directory.watch((change) => changes.push(change));
  return changes;
}

const settled = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: { code?: string }) => String(error.code),
  );

/** A node whose path to the database can fail, and one that works. */
async function twoNodes(server: PostgresServer, graceMs = 60_000) {
  const url = await server.database();
  const path = await PostgresPath.open(server);
  let isFrozen = false;
  const cut = await postgresNode(server.url(new URL(url).pathname.slice(1), path.folder), {
    settings: FAST,
    graceMs,
    nodeAddress: '10.0.0.1:7443',
    // On a busy machine, a node must not expire before its test cuts it off.
    outageAt: () => (isFrozen ? undefined : performance.now()),
  });
  const works = await postgresNode(url, { settings: FAST, graceMs, outageAt: () => performance.now() });
  await expect.poll(() => works.others.addressOf(cut.node)).toBe('10.0.0.1:7443');
  const cutOff = (): void => {
    isFrozen = true;
    path.freeze();
  };
  return { url, cut, works, cutOff, restore: () => path.restore() };
}

describe('nodes that share PostgreSQL', () => {
  const server = usePostgres();

  it('know each other until they leave', async () => {
    const url = await server.database();
    const a = await postgresNode(url, { settings: LONG, nodeAddress: '10.0.0.1:7443' });
    const b = await postgresNode(url, { settings: LONG, nodeAddress: '10.0.0.2:7443' });
    await expect.poll(() => [...a.others.names()]).toEqual([b.node]);
    expect([a.others.addressOf(b.node), b.others.addressOf(a.node)]).toEqual([
      '10.0.0.2:7443',
      '10.0.0.1:7443',
    ]);
    const left: string[] = [];
    a.others.onLeft((node) => left.push(node));
    const record = await b.directory.claim(claimOf('web', ALICE));
    await expect.poll(() => a.directory.lookup(record.place)).toEqual(record);
    await b.directory.close();
    await expect.poll(() => [...a.others.names()]).toEqual([]);
    expect(left).toEqual([b.node]);
    expect(a.directory.lookup(record.place)).toEqual({ ...record, session: undefined });
  });

  it('count nodes and leases, and the time since when they may have missed changes', async () => {
    const url = await server.database();
    const path = await PostgresPath.open(server);
    const a = await postgresNode(server.url(new URL(url).pathname.slice(1), path.folder), {
      settings: FAST,
      outageAt: () => performance.now(),
    });
    const b = await postgresNode(url, { settings: LONG });
    await b.directory.claim(claimOf('web', ALICE));
    await expect.poll(() => a.counts()).toMatchObject({ nodes: 2, leases: 1 });
    path.freeze();
    await expect.poll(() => a.counts().lagMs).toBeGreaterThan(2 * FAST.renewalMs);
    await b.directory.claim(claimOf('api', ALICE));
    expect([a.counts().leases, b.counts().leases]).toEqual([1, 2]);
    path.restore();
    await expect.poll(() => a.counts().lagMs).toBeLessThan(FAST.renewalMs);
    expect(a.counts().leases).toBe(2);
  });

  it('give up when they cannot renew themselves, and their agents return elsewhere', async () => {
    const { cut, works, cutOff } = await twoNodes(server);
    const expired: string[] = [];
    cut.onExpired(() => expired.push(cut.node));
    const web = await cut.directory.claim(claimOf('web', ALICE));
    await expect.poll(() => works.directory.lookup(web.place)).toEqual(web);
    const changes = heard(works.directory);
    cutOff();
    await expect.poll(() => [...works.others.names()]).toEqual([]);
    expect(changes).toEqual([{ place: web.place, epoch: web.epoch, record: { ...web, session: undefined } }]);
    await expect.poll(() => [expired, cut.isCurrent()]).toEqual([[cut.node], false]);
    expect(cut.degraded()).toContain('could not renew itself');
    expect(await settled(cut.directory.claim(claimOf('other', ALICE)))).toBe('relay_busy');
    // Its agents return, nobody else.
    expect(await settled(works.directory.claim(claimOf('web', BOB)))).toBe('name_taken');
    expect(await works.directory.claim(claimOf('web', ALICE))).toMatchObject({ node: works.node });
  });

  it('free the leases of a lost node after the grace period', async () => {
    const { cut, works, cutOff } = await twoNodes(server, 300);
    const web = await cut.directory.claim(claimOf('web', ALICE));
    await expect.poll(() => works.directory.lookup(web.place)).toEqual(web);
    cutOff();
    await expect.poll(() => works.directory.lookup(web.place)).toBeUndefined();
    expect(await works.directory.claim(claimOf('web', BOB))).toMatchObject({ owner: BOB });
  });

  it('keep the leases of a node that stopped in order for its agents, for the grace period', async () => {
    const url = await server.database();
    const settings = { ...LONG, renewMs: 50 };
    const [a, b] = [
      await postgresNode(url, { settings }),
      await postgresNode(url, { settings, graceMs: 1_000 }),
    ];
    const [web, api] = [
      await a.directory.claim(claimOf('web', ALICE)),
      await a.directory.claim(claimOf('api', ALICE)),
    ];
    await expect.poll(() => b.directory.lookup(api.place)).toEqual(api);
    await a.close();
    await expect.poll(() => b.directory.lookup(web.place)).toEqual({ ...web, session: undefined });
    expect(await settled(b.directory.claim(claimOf('web', BOB)))).toBe('name_taken');
    const claimed = await b.directory.claim(claimOf('web', ALICE));
    expect(claimed).toMatchObject({ node: b.node });
    await expect.poll(() => b.directory.lookup(api.place), { timeout: 10_000 }).toBeUndefined();
    expect(b.directory.lookup(web.place)).toEqual(claimed);
  });

  it('change nothing at a place that a later claim has', async () => {
    const { cut, works, url, cutOff, restore } = await twoNodes(server);
    const stale = await cut.directory.claim(claimOf('web', ALICE));
    cutOff();
    await expect.poll(() => [...works.others.names()]).toEqual([]);
    const record = await works.directory.claim(claimOf('web', ALICE));
    const changes = heard(works.directory);
    restore();
    // Late writes of the node that was cut off, with and without its own check.
    await cut.directory.update({ ...stale, carrier: 'ws' });
    await cut.directory.release(stale.place, stale.epoch);
    const database = new Database({ url, log });
    onTestFinished(() => database.close());
    await statements.update(database.query, stale.place, stale.epoch, '{}');
    await statements.release(database.query, stale.place, stale.epoch);
    expect(await statements.claim(database.query, { ...stale, node: cut.node, record: '{}', by: '1' })).toBe(
      undefined,
    );
    const end = await works.directory.claim(claimOf('end', ALICE));
    await expect.poll(() => changes.at(-1)?.record).toEqual(end);
    expect(changes.filter(({ place }) => place === stale.place)).toEqual([]);
    expect(works.directory.lookup(stale.place)).toEqual(record);
  });

  it('find the leases of a relay that ended without leaving', async () => {
    const { cut, works, url, cutOff } = await twoNodes(server);
    const web = await cut.directory.claim(claimOf('web', ALICE));
    cutOff();
    await works.directory.close();
    const later = await postgresNode(url, { settings: FAST, outageAt: () => performance.now() });
    expect(later.directory.lookup(web.place)).toMatchObject({ node: cut.node });
    await expect.poll(() => later.directory.lookup(web.place)).toEqual({ ...web, session: undefined });
    const last = await postgresNode(url, { settings: LONG });
    expect(last.directory.lookup(web.place)).toEqual({ ...web, session: undefined });
  });

  it('release a place that the database gave to a claim that failed', async () => {
    const url = await server.database();
    const a = await postgresNode(url, { settings: LONG });
    const database = new Database({ url, log });
    onTestFinished(() => database.close());
    const { place, owner, ...rest } = claimOf('web', ALICE);
    const record = JSON.stringify({ place, owner, ...rest });
    await statements.claim(database.query, { place, owner, node: a.node, record, by: 'nobody' });
    await expect.poll(() => statements.leasesAt(database.query, place)).toEqual([]);
    await expect.poll(() => a.directory.lookup(place)).toBeUndefined();
  });
});

describe('nodes whose database stops', () => {
  const server = usePostgres();

  it('keep their leases, reject claims, and go on when it is back', async () => {
    const url = await server.database();
    const [a, b] = [await postgresNode(url, { settings: LONG }), await postgresNode(url, { settings: LONG })];
    const [web, game] = [
      await a.directory.claim(claimOf('web', ALICE)),
      await a.directory.claim(claimOf('game', ALICE)),
    ];
    await expect.poll(() => b.directory.lookup(game.place)).toEqual(game);
    const changes = heard(b.directory);
    await server.stop();
    await expect
      .poll(() => [a.degraded(), b.degraded()])
      .toEqual([expect.stringContaining('does not respond'), expect.stringContaining('does not respond')]);
    expect([a.directory.lookup(web.place), b.directory.lookup(web.place)]).toEqual([web, web]);
    for (const node of [a, b]) {
      const error: unknown = await node.directory
        .claim(claimOf('web', ALICE))
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'relay_busy', retryAfterMs: expect.any(Number) });
    }
    // An agent closes one of its leases meanwhile, and another one is updated.
    const released = a.directory.release(game.place, game.epoch);
    const updated = a.directory.update({ ...web, carrier: 'ws' });
    await server.start();
    await Promise.all([released, updated]);
    await expect.poll(() => b.directory.lookup(web.place)).toEqual({ ...web, carrier: 'ws' });
    await expect.poll(() => b.directory.lookup(game.place)).toBeUndefined();
    expect(changes.map(({ place }) => place).toSorted((x, y) => x.localeCompare(y))).toEqual([
      game.place,
      web.place,
    ]);
    await expect.poll(() => settled(b.directory.claim(claimOf('game', BOB)))).toBe('resolved');
    expect([a.degraded(), b.degraded(), a.isCurrent(), b.isCurrent()]).toEqual([
      undefined,
      undefined,
      true,
      true,
    ]);
  });

  it('close in time while it is down', async () => {
    const url = await server.database();
    const a = await postgresNode(url, { settings: LONG });
    await a.directory.claim(claimOf('web', ALICE));
    await server.stop();
    const released = a.directory.release('web.relay.test', 1);
    const closed = Promise.all([a.directory.close(), a.store.close(), released]);
    await expect(closed).resolves.toBeDefined();
    await server.start();
  });
});

describe('a node whose process is stopped', () => {
  const server = usePostgres();

  it('takes no visitor when it wakes after its time to live', async () => {
    const url = await server.database();
    const works = await postgresNode(url, { settings: FAST, outageAt: () => performance.now() });
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('../support/postgres-node.mjs', import.meta.url)), url],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    onTestFinished(() => void child.kill('SIGKILL'));
    const lines: string[] = [];
    createInterface(child.stdout).on('line', (line) => lines.push(line));
    await expect.poll(() => lines).toHaveLength(1);
    const { node, port } = JSON.parse(lines[0]!) as { node: string; port: number };
    await expect.poll(() => works.directory.lookup('web.relay.test')).toMatchObject({ node });
    child.kill('SIGSTOP');
    await expect.poll(() => works.directory.lookup('web.relay.test')?.session).toBeUndefined();
    expect([...works.others.names()]).toEqual([]);
    const visitor = connect(port, '127.0.0.1');
    onTestFinished(() => void visitor.destroy());
    await new Promise((resolve) => visitor.once('connect', resolve));
    child.kill('SIGCONT');
    await expect.poll(() => lines.slice(1)).toEqual(expect.arrayContaining(['expired', 'rejected']));
    expect(lines).not.toContain('served');
  });
});
