import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openStore, type Store } from './store.js';
import { libsqlEngine, nodeEngine, type Engine } from './store/engine.js';
import { openSqliteStore } from './store/sqlite.js';

const [ALICE, BOB] = ['0xA', '0xB'] as const;

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'deep', 'relay.db');
}

const ENGINES: readonly { name: string; engine: Engine | undefined }[] = [
  { name: 'node:sqlite', engine: nodeEngine() },
  { name: 'libsql', engine: await libsqlEngine() },
];
const NO_ENGINE = `Node ${process.versions.node} has no node:sqlite`;

const from = (firstAt: number, network: string) => ({ firstAt, network });

/** Tests for every store. */
function contract(open: () => Promise<Store>): void {
  it('counts each name once, and only names used lately', async () => {
    const store = await open();
    await Promise.all([
      store.reserve('a', ALICE, 10),
      store.reserve('a', ALICE, 20),
      store.reserve('b', ALICE, 5),
      store.reserve('c', BOB, 20),
    ]);
    expect(store.countReservations({ address: ALICE }, 0)).toBe(2);
    expect(store.countReservations({ address: ALICE }, 5)).toBe(1);
    store.forget(20);
    expect(store.countReservations({ address: ALICE }, 0)).toBe(1);
    expect(store.reservation('b')).toBeUndefined();
  });

  it('counts by network, and only new names', async () => {
    const store = await open();
    await store.reserve('a', ALICE, 20, from(10, 'n1'));
    await store.reserve('b', BOB, 20, from(20, 'n1'));
    await store.reserve('c', BOB, 20, from(20, 'n2'));
    expect(store.countReservations({ network: 'n1' }, 0)).toBe(2);
    expect(store.countReservations({ network: 'n1' }, 0, 10)).toBe(1);
    expect(store.countReservations({ address: BOB }, 0, 10)).toBe(2);
    expect(store.countReservations({ address: BOB }, 0, 20)).toBe(0);
    await store.reserve('b', ALICE, 30, from(30, 'n2'));
    expect(store.countReservations({ network: 'n1' }, 0)).toBe(1);
    expect(store.reservation('b')).toMatchObject({ address: ALICE, usedAt: 30, firstAt: 30 });
  });

  it('keeps the port of a name, for one name at a time', async () => {
    const store = await open();
    await store.reserve('a', ALICE, 10);
    await store.reserve('b', BOB, 20);
    await store.rememberPort('tcp', 'a', 4000);
    await store.rememberPort('udp', 'a', 4000);
    expect([store.port('tcp', 'a'), store.port('udp', 'a'), store.port('tcp', 'b')]).toEqual([
      4000,
      4000,
      undefined,
    ]);
    expect(store.portHolder('tcp', 4000, 0)).toBe(ALICE);
    expect(store.portHolder('tcp', 4000, 10)).toBeUndefined();
    await store.rememberPort('tcp', 'b', 4000);
    expect([store.port('tcp', 'a'), store.port('tcp', 'b')]).toEqual([undefined, 4000]);
    await store.rememberPort('tcp', 'b', 4001);
    expect([store.port('tcp', 'b'), store.portHolder('tcp', 4000, 0)]).toEqual([4001, undefined]);
    expect(store.reservationsOf(ALICE, 0)).toEqual([{ name: 'a', usedAt: 10, tcp: null, udp: 4000 }]);
  });

  it('lists the names of an identity in order, with the last use of any', async () => {
    const store = await open();
    expect(store.newestUse()).toBeUndefined();
    for (const [name, usedAt] of [
      ['c', 30],
      ['a', 10],
      ['b', 20],
    ] as const)
      await store.reserve(name, ALICE, usedAt);
    await store.reserve('d', BOB, 5);
    expect(store.newestUse()).toBe(30);
    expect(store.reservationsOf(ALICE, 10).map(({ name }) => name)).toEqual(['b', 'c']);
  });

  it('releases a name and its ports, for its holder only', async () => {
    const store = await open();
    await store.reserve('web', ALICE, 1);
    await store.rememberPort('tcp', 'web', 4000);
    expect(await store.release('web', BOB)).toBe(false);
    expect(await store.release('web', ALICE)).toBe(true);
    expect([store.reservation('web'), store.port('tcp', 'web')]).toEqual([undefined, undefined]);
    expect(await store.release('web', ALICE)).toBe(false);
  });

  it('forgets ports with their names', async () => {
    const store = await open();
    await store.reserve('web', ALICE, 1);
    await store.rememberPort('tcp', 'web', 4000);
    store.forget(2);
    expect([store.port('tcp', 'web'), store.portHolder('tcp', 4000, 0)]).toEqual([undefined, undefined]);
  });

  it('knows the last key of a peer', async () => {
    const store = await open();
    expect(store.peerKey('https://b.test')).toBeUndefined();
    await store.rememberPeer('https://b.test', ALICE);
    await store.rememberPeer('https://b.test', BOB);
    expect(store.peerKey('https://b.test')).toBe(BOB);
  });
}

describe('the store in memory', () => {
  contract(() => openStore('memory'));
});

describe.each(ENGINES)('the store with $name', ({ engine }) => {
  async function open(file?: string): Promise<Store> {
    const store = await openSqliteStore(file ?? (await temporary()), engine);
    onTestFinished(() => store.close());
    return store;
  }

  it('exists', (ctx) => {
    if (!engine) ctx.skip(NO_ENGINE);
    expect(engine).toBeDefined();
  });
  if (!engine) return;

  contract(open);

  it('returns a reservation immediately, and keeps it once the write resolved', async () => {
    const file = await temporary();
    const store = await open(file);
    const stored = store.reserve('web', ALICE, 5);
    expect(store.reservation('web')).toMatchObject({ address: ALICE, usedAt: 5 });
    expect(store.countReservations({ address: ALICE }, 0)).toBe(1);
    await stored;
    const other = await open(file);
    expect(other.reservation('web')).toMatchObject({ address: ALICE, usedAt: 5 });
    expect(other.reservation('nothing')).toBeUndefined();
  });

  it('waits for another process before its first statement', async () => {
    const asked: string[] = [];
    const noting: Engine = (file) => {
      const db = engine(file);
      return { ...db, exec: (sql) => (asked.push(sql), db.exec(sql)) };
    };
    await (await openSqliteStore(await temporary(), noting)).close();
    expect(asked[0]).toMatch(/busy_timeout/);
  });

  it('rejects a failed write, and writes again when it can', async () => {
    const file = await temporary();
    const store = await open(file);
    await store.reserve('before', ALICE, 1);
    const meddler = engine(file);
    meddler.exec('ALTER TABLE reservations RENAME TO elsewhere');
    const results = await Promise.allSettled([store.reserve('a', ALICE, 1), store.reserve('b', ALICE, 1)]);
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'state_unwritable' } });
    // Their transaction ends with this turn.
    await new Promise(setImmediate);
    meddler.exec('ALTER TABLE elsewhere RENAME TO reservations');
    meddler.close();
    await store.reserve('after', ALICE, 2);
    expect(store.reservation('before')).toBeDefined();
    expect(store.reservation('after')).toBeDefined();
  });

  it('fails to open a read-only file, and says what to do', async (ctx) => {
    const file = await temporary();
    await (await openSqliteStore(file, engine)).close();
    const readOnly: Engine = (at) => {
      const db = engine(at);
      db.exec('PRAGMA query_only = ON');
      return db;
    };
    if (process.platform === 'win32') ctx.skip('no chown there');
    await expect(openSqliteStore(file, readOnly)).rejects.toMatchObject({
      code: 'state_unwritable',
      message: expect.stringContaining('cannot be opened'),
      hint: expect.stringContaining('chown'),
    });
  });

  it('completes pending writes when it closes', async () => {
    const file = await temporary();
    const store = await openSqliteStore(file, engine);
    const stored = store.reserve('web', ALICE, 1);
    await store.close();
    await stored;
    expect((await open(file)).reservation('web')).toBeDefined();
  });
});

it('continues with the file of the other engine, closed properly or not', async (ctx) => {
  const [node, libsql] = ENGINES.map(({ engine }) => engine);
  if (!node) {
    ctx.skip(NO_ENGINE);
    return;
  }
  let file = await temporary();
  for (const [at, engine] of [libsql, node, libsql, node].entries()) {
    const store = await openSqliteStore(file, engine);
    for (let former = 0; former < at; former++) expect(store.port('tcp', `n${former}`)).toBe(former);
    await store.reserve(`n${at}`, ALICE, at + 1);
    await store.rememberPort('tcp', `n${at}`, at);
    await store.seen.note(ALICE, { machine: `m${at}`, version: '1', seenAt: at + 1 });
    expect(store.seen.of(ALICE, 0)).toHaveLength(at + 1);
    if (at >= 2) {
      // As a killed relay leaves it: the latest writes are in the log next to the file.
      const folder = dirname(await temporary());
      await cp(dirname(file), folder, { recursive: true });
      await store.close();
      file = join(folder, 'relay.db');
      continue;
    }
    await store.close();
  }
});
