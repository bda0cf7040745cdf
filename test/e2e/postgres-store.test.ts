import { describe, expect, it, onTestFinished } from 'vitest';
import { Database } from '../../src/relay/postgres/database.js';
import { prepareDatabase } from '../../src/relay/postgres/schema.js';
import { storeContract } from '../../src/relay/store/contract.js';
import { PostgresStore } from '../../src/relay/store/postgres.js';
import { log } from '../support/log.js';
import { usePostgres } from '../support/postgres.js';

const RELAY = { identity: '0x1', domain: 'relay.test' };

/** The store of one node. */
async function open(url: string, relay = RELAY): Promise<PostgresStore> {
  const database = new Database({ url, log });
  const store = new PostgresStore(database, () => database.close());
  onTestFinished(() => store.close());
  await prepareDatabase(database, relay);
  return store;
}

describe('the store in PostgreSQL', () => {
  const server = usePostgres();

  storeContract(async () => open(await server.database()));

  it('creates its tables once if several nodes start at once', async () => {
    const url = await server.database();
    const stores = await Promise.all(Array.from({ length: 8 }, () => open(url)));
    expect(await stores[0]!.reserve('web', '0xA', 1)).toBe(true);
    for (const store of stores) expect(await store.reservation('web')).toMatchObject({ address: '0xA' });
    expect(await server.sql('SELECT version FROM portal.version', url)).toEqual([{ version: 4 }]);
  });

  it('reserves a name for one of many identities at several nodes', async () => {
    const url = await server.database();
    const stores = await Promise.all(Array.from({ length: 5 }, () => open(url)));
    const owners = Array.from({ length: 50 }, (_, index) => `0x${index}`);
    const results = await Promise.all(
      owners.map((owner, index) => stores[index % 5]!.reserve('web', owner, 1, { expiredAt: 0 })),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await stores[4]!.reservation('web')).toMatchObject({ address: owners[results.indexOf(true)] });
  });

  it('lets several nodes store the same ports at once', async () => {
    const url = await server.database();
    const stores = await Promise.all(Array.from({ length: 4 }, () => open(url)));
    const names = ['a', 'b', 'c', 'd'];
    const writes = stores.flatMap((store) =>
      names.map((name, index) => store.rememberPort('tcp', name, 4000 + (index % 2))),
    );
    await Promise.all(writes);
    const ports = await Promise.all(names.map((name) => stores[0]!.port('tcp', name)));
    expect(new Set(ports.filter(Boolean))).toEqual(new Set([4000, 4001]));
  });

  it('rejects the database of another relay', async () => {
    const url = await server.database();
    await open(url);
    await expect(open(url, { ...RELAY, domain: 'other.test' })).rejects.toMatchObject({
      code: 'cluster_mismatch',
      message: expect.stringContaining('relay.test'),
    });
    await expect(open(url, { ...RELAY, identity: '0x2' })).rejects.toMatchObject({
      code: 'cluster_mismatch',
      message: expect.stringContaining('0x1'),
    });
  });

  it('rejects tables of a later version', async () => {
    const url = await server.database();
    await open(url);
    await server.sql('UPDATE portal.version SET version = 99', url);
    await expect(open(url)).rejects.toMatchObject({ code: 'cluster_mismatch' });
  });

  it('says why it cannot use the database, without the password', async () => {
    const url = server.url('missing').replace('portal@', 'portal:hunter2@');
    const error: unknown = await open(url).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'cluster_unavailable',
      message: expect.stringContaining('database "missing" does not exist'),
    });
    expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain('hunter2');
  });
});

describe('the store in PostgreSQL that stops', () => {
  const server = usePostgres({ durable: true });

  it('has every acknowledged write after a crash', async () => {
    const url = await server.database();
    const store = await open(url);
    const names = Array.from({ length: 50 }, (_, index) => `n${index}`);
    const writes = names.map((name) =>
      store.reserve(name, '0xA', 1).then(
        () => name,
        () => undefined,
      ),
    );
    await writes[9];
    await server.stop('SIGQUIT');
    const acknowledged = (await Promise.all(writes)).filter((name) => name !== undefined);
    expect(acknowledged.length).toBeGreaterThanOrEqual(10);
    await server.start();
    const later = await open(url);
    for (const name of acknowledged) expect(await later.reservation(name)).toMatchObject({ address: '0xA' });
  });

  it('rejects reads and writes while the database is down, and works again after', async () => {
    const store = await open(await server.database());
    await store.reserve('web', '0xA', 1);
    await server.stop();
    const busy = { code: 'relay_busy', retryAfterMs: expect.any(Number) };
    await expect(store.reserve('web', '0xA', 2)).rejects.toMatchObject(busy);
    await expect(store.reservation('web')).rejects.toMatchObject(busy);
    expect(store.failures).toBe(1);
    await server.start();
    await expect.poll(() => store.reserve('web', '0xA', 3).catch(() => false)).toBe(true);
    expect(await store.reservation('web')).toMatchObject({ usedAt: 3 });
  });
});
