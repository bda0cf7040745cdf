import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import type { Permission } from '../../config/permissions/permissions.js';
import { temporaryFolder } from '../../../test/support/folder.js';
import { AllowStore } from './store.js';

let top: string;
let store: AllowStore;
let file: string;
let other: string;

beforeEach(async () => {
  top = await temporaryFolder();
  store = new AllowStore(join(top, 'allowed'));
  [file, other] = [join(top, 'portal.yaml'), join(top, 'other.yaml')];
  for (const each of [file, other]) await writeFile(each, '');
});

const permission = (kind: Permission['kind'], what: string): Permission => ({
  key: `${kind} ${what}`,
  kind,
  what,
  of: 'x',
  path: [],
});
const RELAY = permission('relay', 'https://relay.example.com');
const REACH = permission('reach', 'db:5432');
const missing = async (at: string, from = store): Promise<string[]> =>
  (await from.missing(at, [RELAY, REACH])).map(({ kind }) => kind);

it('remembers permissions by file: asks again about the same relay in another file', async () => {
  expect(await missing(file)).toEqual(['relay', 'reach']);
  await store.add(file, [RELAY, REACH]);
  expect(await missing(file)).toEqual([]);
  expect(await missing(other)).toEqual(['relay', 'reach']);
  expect(await store.missing(undefined, [RELAY, REACH])).toEqual([RELAY, REACH]);
  expect(await missing(file, new AllowStore(join(top, 'allowed')))).toEqual([]);
});

it('identifies a file by the real path of its folder', async () => {
  await store.add(file, [REACH, RELAY]);
  await symlink(top, join(top, 'here'));
  expect(await missing(join(top, 'here', 'portal.yaml'))).toEqual([]);
});

it('asks about a link to an allowed file, because its overlay, .env and paths differ', async () => {
  await store.add(file, [REACH]);
  const clone = join(top, 'clone');
  await mkdir(clone);
  await symlink(file, join(clone, 'portal.yaml'));
  expect(await missing(join(clone, 'portal.yaml'))).toEqual(['relay', 'reach']);
});

it('lists permissions, adds to them, and revokes them', async () => {
  await store.add(file, [RELAY]);
  await store.add(file, [REACH]);
  const { path: _, ...reach } = REACH;
  // The permissions of the last answer come first.
  expect(await store.list()).toMatchObject([{ file, permissions: [reach, { kind: 'relay' }] }]);
  expect(await store.revoke(file)).toBe(true);
  expect(await store.revoke(file)).toBe(false);
  expect(await missing(file)).toEqual(['relay', 'reach']);
});

it('keeps records readable only by their owner', async (context) => {
  if (process.platform === 'win32') context.skip('Windows keeps no such modes');
  await store.add(file, [RELAY]);
  const folder = join(top, 'allowed');
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  await chmod(join(folder, 'key'), 0o644);
  await expect(store.list()).rejects.toMatchObject({ hint: expect.stringContaining('chmod 600') as string });
});

it('ignores a record with another path, store or content', async () => {
  await store.add(file, [RELAY, REACH]);
  const [from, to] = [await store.recordFile(file), await store.recordFile(other)];
  await copyFile(from, to);
  expect(await missing(other)).toEqual(['relay', 'reach']);

  const elsewhere = new AllowStore(join(top, 'elsewhere'));
  await elsewhere.missing(file, [RELAY]);
  await mkdir(join(top, 'elsewhere'), { recursive: true });
  await copyFile(from, join(top, 'elsewhere', from.split('/').at(-1)!));
  expect(await missing(file, elsewhere)).toEqual(['relay', 'reach']);

  await writeFile(from, (await readFile(from, 'utf8')).replaceAll('db:5432', 'db:5433'));
  expect(await missing(file)).toEqual(['relay', 'reach']);
  await writeFile(from, '{');
  expect(await missing(file)).toEqual(['relay', 'reach']);
});

it('forgets a file that moved', async () => {
  await store.add(file, [REACH, RELAY]);
  await rename(file, join(top, 'moved.yaml'));
  expect(await missing(join(top, 'moved.yaml'))).toEqual(['relay', 'reach']);
});
