import { mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { generateIdentity } from '../../identity/keys.js';
import { allHeld, HeldStore, removeAbandoned, removeHeld, type HeldRequest } from './store.js';

const SOURCE = '/project/portal.yaml';

function requestOf(id: string, over: Partial<HeldRequest> = {}): HeldRequest {
  return {
    id,
    service: 'hooks',
    route: '/github',
    heldAt: 1_000,
    until: 61_000,
    method: 'POST',
    target: '/github?token=s3cr3t',
    authority: 'hooks.example.com',
    hostname: 'hooks.example.com',
    remote: '192.0.2.1',
    version: '1.1',
    headers: ['X-Odd', 'ü"', 'X-Odd', '2'],
    identity: ['X-Portal-User', 'ana'],
    recordedAs: 3_000_000_007,
    bodyBytes: 3,
    ...over,
  };
}

async function place() {
  const root = await temporaryFolder();
  const identity = generateIdentity();
  const open = (source = SOURCE): HeldStore => new HeldStore(root, identity, source);
  const store = open();
  const put = async (
    over: Partial<HeldRequest> = {},
    body = Buffer.from([0, 255, 1]),
  ): Promise<HeldRequest> => {
    const request = requestOf(store.nextId(Date.now()), over);
    await store.write(request, body);
    return request;
  };
  return { root, identity, store, open, put };
}

it('reads requests in order, with everything that belongs to them', async () => {
  const { store, open, put } = await place();
  const written = [await put(), await put({ service: 'other' }), await put()];
  const { held, damaged } = await open().list();
  expect(held).toEqual(written);
  expect(damaged).toBe(0);
  expect([...(await open().body(written[0]!.id))!]).toEqual([0, 255, 1]);
  expect((await store.body(written[1]!.id))!.length).toBe(3);
});

it('lets only the owner read the files, and reveals nothing in them', async () => {
  const { store, put } = await place();
  const { id } = await put({}, Buffer.from('a secret body'));
  const path = join(store.folder, `${id}.held`);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(store.folder)).mode & 0o777).toBe(0o700);
  const text = (await readFile(path)).toString('latin1');
  for (const secret of ['a secret body', 's3cr3t', 'hooks', 'ana', 'project'])
    expect(text).not.toContain(secret);
});

it('gives ids that increase across runs, even when the clock is set back', async () => {
  const { store, open, put } = await place();
  const now = 1_700_000_000_000;
  const ids = [store.nextId(now), store.nextId(now), store.nextId(now - 60_000)];
  expect(ids.toSorted()).toEqual(ids);
  const { id } = await put();
  const later = open();
  await later.list();
  expect(later.nextId(5) > id).toBe(true);
});

it('skips damaged files, counts each once, and ignores what a killed process left', async () => {
  const { store, open, put } = await place();
  const [whole, cut, changed, removing] = [await put(), await put(), await put(), await put()];
  const pathOf = ({ id }: HeldRequest): string => join(store.folder, `${id}.held`);
  await truncate(pathOf(cut), 150);
  const bytes = await readFile(pathOf(changed));
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(pathOf(changed), bytes);
  const zeroed = await readFile(pathOf(removing));
  await writeFile(pathOf(removing), zeroed.fill(0, 0, 64));
  await writeFile(join(store.folder, `${store.nextId(Date.now())}.held.0a1b2c.tmp`), 'half');
  expect(await store.body(changed.id)).toBeUndefined();
  expect(await open().list()).toEqual({ held: [whole], damaged: 2 });
  expect(await open().list()).toEqual({ held: [whole], damaged: 0 });
  const left = await readdir(store.folder);
  expect(left.filter((name) => name.endsWith('.held'))).toHaveLength(1);
  expect(left.filter((name) => name.endsWith('.damaged'))).toHaveLength(2);
  expect(left).toHaveLength(3);
});

it('does not open files that were renamed, or belong to another identity', async () => {
  const { root, store, put } = await place();
  const [one, two] = [await put(), await put()];
  await writeFile(join(store.folder, `${two.id}.held`), await readFile(join(store.folder, `${one.id}.held`)));
  expect(await store.list()).toMatchObject({ held: [{ id: one.id }], damaged: 1 });
  const foreign = new HeldStore(root, generateIdentity(), SOURCE);
  await mkdir(foreign.folder, { recursive: true });
  await writeFile(
    join(foreign.folder, `${one.id}.held`),
    await readFile(join(store.folder, `${one.id}.held`)),
  );
  expect(await foreign.list()).toEqual({ held: [], damaged: 1 });
});

it('keeps those of each portal.yaml apart, and lists and removes those of all', async () => {
  const { root, identity, open, put } = await place();
  const mine = await put();
  const other = open('/other/portal.yaml');
  await other.write(requestOf(other.nextId(Date.now() + 9_000)), Buffer.alloc(0));
  expect((await open().list()).held).toEqual([mine]);
  const { held } = await allHeld(root, identity);
  expect(held.map(({ source }) => source)).toEqual([SOURCE, '/other/portal.yaml']);
  expect(await removeHeld(root, identity, Number.parseInt(mine.id, 10) - 1)).toBe(0);
  expect(await removeHeld(root, identity, Date.now() + 60_000)).toBe(2);
  expect(await allHeld(root, identity)).toEqual({ held: [], damaged: 0 });
});

it('removes one request, and abandoned ones of any identity', async () => {
  const { root, identity, store, put } = await place();
  const [one, two] = [await put(), await put()];
  await store.remove(one.id);
  expect((await store.list()).held).toEqual([two]);
  await store.remove(one.id);
  const long = Date.now() / 1_000 - 15 * 86_400;
  await utimes(join(store.folder, `${two.id}.held`), long, long);
  await removeAbandoned(root, Date.now());
  expect((await allHeld(root, identity)).held).toEqual([]);
  await removeAbandoned(join(root, 'missing'), Date.now());
});

it('reports a request that it cannot write', async () => {
  const { store } = await place();
  await mkdir(join(store.folder, '..'), { recursive: true });
  await rm(store.folder, { recursive: true, force: true });
  await writeFile(store.folder, 'a file at the path of the folder');
  await expect(store.write(requestOf(store.nextId(1)), Buffer.alloc(1))).rejects.toMatchObject({
    code: 'state_unwritable',
  });
});
