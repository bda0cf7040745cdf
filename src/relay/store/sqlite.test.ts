import { chmod, cp, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { storeContract } from './contract.js';
import { openSqliteStore } from './sqlite.js';
import { nodeSqlite, sqlitePackage, type OpenDatabase } from './sqlite-driver.js';
import type { Store } from './store.js';

const ALICE = '0xA';

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'deep', 'relay.db');
}

const DRIVERS: readonly { name: string; driver: OpenDatabase | undefined }[] = [
  { name: 'node:sqlite', driver: nodeSqlite() },
  { name: '@photostructure/sqlite', driver: await sqlitePackage() },
];
const NO_DRIVER = `Node ${process.versions.node} has no node:sqlite`;

describe.each(DRIVERS)('the store with $name', ({ driver }) => {
  async function open(file?: string): Promise<Store> {
    const store = await openSqliteStore(file ?? (await temporary()), driver);
    onTestFinished(() => store.close());
    return store;
  }

  it('exists', (ctx) => {
    if (!driver) ctx.skip(NO_DRIVER);
    expect(driver).toBeDefined();
  });
  if (!driver) return;

  storeContract(() => open());

  it('returns a reservation immediately, and keeps it once the write resolved', async () => {
    const file = await temporary();
    const store = await open(file);
    const stored = store.reserve('web', ALICE, 5);
    expect(await store.reservation('web')).toMatchObject({ address: ALICE, usedAt: 5 });
    expect(await store.countReservations({ address: ALICE }, 0)).toBe(1);
    await stored;
    const other = await open(file);
    expect(await other.reservation('web')).toMatchObject({ address: ALICE, usedAt: 5 });
    expect(await other.reservation('nothing')).toBeUndefined();
  });

  it.skipIf(process.platform === 'win32')(
    'keeps its files private, including those of an earlier version',
    async () => {
      const file = await temporary();
      const files = [file, `${file}-wal`, `${file}-shm`];
      const modes = () => Promise.all(files.map(async (each) => (await stat(each)).mode & 0o777));
      const first = await open(file);
      await first.reserve('web', ALICE, 5);
      expect(await modes()).toEqual([0o600, 0o600, 0o600]);
      for (const each of files) await chmod(each, 0o644);
      const second = await open(file);
      await second.reserve('web', ALICE, 6);
      expect(await modes()).toEqual([0o600, 0o600, 0o600]);
    },
  );

  it('waits for another process before its first statement', async () => {
    const asked: string[] = [];
    const noting: OpenDatabase = (file) => {
      const db = driver(file);
      return { ...db, exec: (sql) => (asked.push(sql), db.exec(sql)) };
    };
    await (await openSqliteStore(await temporary(), noting)).close();
    expect(asked[0]).toMatch(/busy_timeout/);
  });

  it('rejects a failed write, and writes again when it can', async () => {
    const file = await temporary();
    const store = await open(file);
    await store.reserve('before', ALICE, 1);
    const meddler = driver(file);
    meddler.exec('ALTER TABLE reservations RENAME TO elsewhere');
    const results = await Promise.allSettled([store.reserve('a', ALICE, 1), store.reserve('b', ALICE, 1)]);
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'state_unwritable' } });
    // Their transaction ends with this turn.
    await new Promise(setImmediate);
    meddler.exec('ALTER TABLE elsewhere RENAME TO reservations');
    meddler.close();
    await store.reserve('after', ALICE, 2);
    expect(await store.reservation('before')).toBeDefined();
    expect(await store.reservation('after')).toBeDefined();
  });

  it('fails to open a read-only file, and says what to do', async (ctx) => {
    const file = await temporary();
    await (await openSqliteStore(file, driver)).close();
    const readOnly: OpenDatabase = (at) => {
      const db = driver(at);
      db.exec('PRAGMA query_only = ON');
      return db;
    };
    if (process.platform === 'win32') ctx.skip('no chown there');
    await expect(openSqliteStore(file, readOnly)).rejects.toMatchObject({
      code: 'state_unwritable',
      message: expect.stringContaining('cannot be opened'),
      hint: expect.stringMatching(/chown.*read-only.*--data-dir/),
    });
  });

  it('completes pending writes when it closes', async () => {
    const file = await temporary();
    const store = await openSqliteStore(file, driver);
    const stored = store.reserve('web', ALICE, 1);
    const seen = store.seen.note(ALICE, { machine: 'laptop', version: '1', seenAt: 1 });
    await store.close();
    await Promise.all([stored, seen]);
    const again = await open(file);
    expect(await again.reservation('web')).toBeDefined();
    expect(await again.seen.of(ALICE, 0)).toHaveLength(1);
  });
});

it('continues with the file of the other SQLite, closed properly or not', async (ctx) => {
  const [node, other] = DRIVERS.map(({ driver }) => driver);
  if (!node) {
    ctx.skip(NO_DRIVER);
    return;
  }
  let file = await temporary();
  for (const [at, driver] of [other, node, other, node].entries()) {
    const store = await openSqliteStore(file, driver);
    for (let former = 0; former < at; former++) expect(await store.port('tcp', `n${former}`)).toBe(former);
    await store.reserve(`n${at}`, ALICE, at + 1);
    await store.rememberPort('tcp', `n${at}`, at);
    await store.seen.note(ALICE, { machine: `m${at}`, version: '1', seenAt: at + 1 });
    expect(await store.seen.of(ALICE, 0)).toHaveLength(at + 1);
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
