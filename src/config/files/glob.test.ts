import { sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expand, matches } from './glob.js';

/** Folders and the names in them. */
const TREE: Readonly<Record<string, readonly string[]>> = {
  '/p': ['apps', 'a.yaml', 'b.yaml', '.c.yaml'],
  '/p/apps': ['web', 'api', 'note.txt'],
  '/p/apps/web': ['x.yaml'],
  '/p/apps/api': ['x.yaml', 'y.yaml'],
};

const many = async (): Promise<readonly string[]> => Array.from({ length: 2_000 }, (_, n) => `d${n}`);

const list = async (folder: string): Promise<readonly string[] | undefined> => TREE[folder];

describe.skipIf(sep === '\\')('expand', () => {
  it.each([
    ['./*.yaml', ['/p/a.yaml', '/p/b.yaml'], ['/p']],
    ['.*.yaml', ['/p/.c.yaml'], ['/p']],
    ['apps/*/x.yaml', ['/p/apps/api/x.yaml', '/p/apps/note.txt/x.yaml', '/p/apps/web/x.yaml'], ['/p/apps']],
    ['apps/?p?/*.yaml', ['/p/apps/api/x.yaml', '/p/apps/api/y.yaml'], ['/p/apps', '/p/apps/api']],
    ['../p/*', ['/p/a.yaml', '/p/apps', '/p/b.yaml'], ['/p']],
    ['/p/[ab]*.yaml', [], ['/p']],
    ['none/*.yaml', [], ['/p/none']],
  ])('finds the paths and folders of %s, sorted', async (pattern, paths, folders) => {
    expect(await expand(pattern, '/p', list)).toEqual({ paths, folders });
  });

  it('rejects a pattern with too many folders', async () => {
    await expect(expand('*/*', '/p', many)).rejects.toThrow('more than 1,000 folders');
  });
});

it.each([
  ['*', 'a', true],
  ['*', '.a', false],
  ['*.portal.yaml', 'web.portal.yaml', true],
  ['*.portal.yaml', 'web.portal.yml', false],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['?', '', false],
  ['a?', 'ab', true],
  ['a.b', 'axb', false],
])('%s matches %s: %s', (pattern, name, is) => {
  expect(matches(pattern, name)).toBe(is);
});

it('needs no time for a pattern with many stars', () => {
  expect(matches(`${'*a'.repeat(100)}b`, 'a'.repeat(5_000))).toBe(false);
});
