import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { realPath } from '../../lib/real-path.js';
import { findFile } from './find-file.js';

let top: string;
let root: string;

beforeEach(async () => {
  top = await realPath(await temporaryFolder());
  root = join(top, 'public');
  for (const folder of ['docs', '.git', '.well-known', 'empty', 'assets'])
    await mkdir(join(root, folder), { recursive: true });
  for (const file of [
    'index.html',
    'about.html',
    'docs/index.html',
    'assets/app.js',
    '.env',
    '.git/config',
    '.well-known/security.txt',
    'a b%.txt',
  ])
    await writeFile(join(root, file), file);
  await mkdir(join(top, 'public-secret'));
  for (const file of ['secret.txt', 'public-secret/key']) await writeFile(join(top, file), 'secret');
});

/** The file for a path, relative to the folder; or what else is there. */
async function at(path: string): Promise<string> {
  const found = await findFile(root, path);
  if (found.kind !== 'file') return found.kind;
  return `${relative(root, found.file)}${found.isMissing ? ' (404)' : ''}`;
}

it.each([
  ['/', 'index.html'],
  ['/index.html', 'index.html'],
  ['/about', 'about.html'],
  ['/assets/app.js', 'assets/app.js'],
  ['/docs', 'folder'],
  ['/docs/', 'docs/index.html'],
  ['/a b%.txt', 'a b%.txt'],
  ['/.well-known/security.txt', '.well-known/security.txt'],
])('finds for %s: %s', async (path, found) => {
  expect(await at(path)).toBe(found);
});

it.each([
  ['/shop/cart', 'index.html'],
  ['/empty/', 'index.html'],
  ['/missing.js', 'nothing'],
  ['/index.html/', 'index.html'],
])('serves the app for its routes, and nothing for missing files: %s', async (path, found) => {
  expect(await at(path)).toBe(found);
});

it('serves 404.html for every missing path if there is one', async () => {
  await writeFile(join(root, '404.html'), '');
  expect([await at('/shop/cart'), await at('/missing.js'), await at('/.env')]).toEqual(
    Array.from({ length: 3 }, () => '404.html (404)'),
  );
  expect(await at('/about')).toBe('about.html');
});

it.each([
  '/.env',
  '/.git/config',
  '/docs/../.env',
  '/../secret.txt',
  '/../public-secret/key',
  '/docs/../../secret.txt',
  '/..\\secret.txt',
  '/docs/..\\..\\secret.txt',
  '/index.html\0.js',
  '/.well-known/../.env',
])('never finds hidden or outer files: %j', async (path) => {
  expect(await at(path)).toBe('nothing');
});

it('follows links within the folder only, and to no hidden file', async () => {
  for (const [to, name] of [
    ['assets/app.js', 'latest.js'],
    ['../secret.txt', 'out.txt'],
    ['../public-secret', 'out'],
    ['.env', 'env.txt'],
    ['loop.txt', 'loop.txt'],
    ['../secret.txt', 'page.html'],
  ] as const)
    await symlink(to, join(root, name));
  expect(await at('/latest.js')).toBe('assets/app.js');
  for (const path of ['/out.txt', '/env.txt', '/loop.txt', '/out/key.pem'])
    expect(await at(path)).toBe('nothing');
  expect([await at('/page'), await at('/out/key')]).toEqual(['index.html', 'index.html']);
});

it('finds nothing in a folder that does not exist', async () => {
  root = join(top, 'nowhere');
  expect(await at('/')).toBe('nothing');
});
