import { mkdir, realpath, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/support/folder.js';
import { isWithin, realPath } from './real-path.js';

let top: string;

beforeEach(async () => {
  top = await realpath(await temporaryFolder());
  await mkdir(join(top, 'a', 'b'), { recursive: true });
});

it('follows links as far as the path exists, and keeps the other parts', async () => {
  await symlink(join(top, 'a'), join(top, 'to-a'));
  expect(await realPath(join(top, 'to-a', 'b'))).toBe(join(top, 'a', 'b'));
  expect(await realPath(join(top, 'to-a', 'b', 'none', 'of', 'it'))).toBe(
    join(top, 'a', 'b', 'none', 'of', 'it'),
  );
  expect(await realPath('/none/of/it')).toBe('/none/of/it');
  expect(await realPath('/')).toBe('/');
});

it('follows dangling links, also several in a row and in the middle', async () => {
  await symlink('b/later', join(top, 'a', 'first'));
  await symlink(join(top, 'a', 'first'), join(top, 'second'));
  expect(await realPath(join(top, 'second'))).toBe(join(top, 'a', 'b', 'later'));
  expect(await realPath(join(top, 'second', 'x.sock'))).toBe(join(top, 'a', 'b', 'later', 'x.sock'));
});

it('ends for circular links, and for a path of a thousand folders', async () => {
  await symlink(join(top, 'two'), join(top, 'one'));
  await symlink(join(top, 'one'), join(top, 'two'));
  expect(isWithin(top, await realPath(join(top, 'one')))).toBe(true);
  const deep = join(top, ...Array.from({ length: 1_000 }, () => 'x'));
  expect(await realPath(deep)).toBe(deep);
});
