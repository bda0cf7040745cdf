import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { commandFor, hintFor } from './for-file.js';

async function folders() {
  const top = await temporaryFolder();
  for (const name of ['app', 'app/src', 'other one']) await mkdir(join(top, name), { recursive: true });
  const file = join(top, 'app', 'portal.yaml');
  await writeFile(file, '');
  return { top, file, at: (name: string, env = {}) => ({ cwd: join(top, name), env }) };
}

it('names the file where the command would not find it', async () => {
  const { top, file, at } = await folders();
  expect(await commandFor(at('app'), 'portal allow', file)).toBe('portal allow');
  expect(await commandFor(at('app/src'), 'portal allow', file)).toBe('portal allow');
  expect(await commandFor(at('other one', { PORTAL_FILE: file }), 'portal allow', file)).toBe('portal allow');
  expect(await commandFor(at('other one'), 'portal allow', file)).toBe('portal allow -f ../app/portal.yaml');
  expect(await commandFor(at('other one'), 'portal logs', file, '-F')).toBe(
    'portal logs -F ../app/portal.yaml',
  );
  const beside = join(top, 'other one', 'my.yaml');
  expect(await commandFor(at('app'), 'portal up', beside)).toBe("portal up -f '../other one/my.yaml'");
  expect(await commandFor(at('app'), 'portal up', '<stdin>')).toBe('portal up');
  expect(await commandFor(at('app'), 'portal up', undefined)).toBe('portal up');
});

it('names the file in each command of a hint', async () => {
  const { file, at } = await folders();
  const hint = 'Run `portal allow`. In CI run `portal up --yes`, or see `portal --help`.';
  expect(await hintFor(at('app'), hint, file)).toBe(hint);
  expect(await hintFor(at('other one'), hint, file)).toBe(
    'Run `portal allow -f ../app/portal.yaml`. In CI run `portal up --yes -f ../app/portal.yaml`, or see `portal --help`.',
  );
});

it.each([
  ['Look at `portal status` and `portal logs`.', 'Look at `portal status OPTION` and `portal logs LOGS`.'],
  ['Stop it with `portal down`.', 'Stop it with `portal down OPTION`.'],
  [
    '`portal doctor` checks it, `portal list` too.',
    '`portal doctor OPTION` checks it, `portal list OPTION` too.',
  ],
  ['Follow `portal logs -f`.', 'Follow `portal logs -f LOGS`.'],
  ['Run `portal service install` again.', 'Run `portal service install OPTION` again.'],
])('names the file in: %s', async (hint, expected) => {
  const { file, at } = await folders();
  const named = expected
    .replaceAll('OPTION', '-f ../app/portal.yaml')
    .replaceAll('LOGS', '-F ../app/portal.yaml');
  expect(await hintFor(at('other one'), hint, file)).toBe(named);
  expect(await hintFor(at('other one'), named, file)).toBe(named);
});

it.each([
  'See `portal identity`, `portal init` and `portal relay`.',
  'Run `portal status --pid 12`, `portal agents --relay https://r.example` or `portal up -f -`.',
])('names no file in: %s', async (hint) => {
  const { file, at } = await folders();
  expect(await hintFor(at('other one'), hint, file)).toBe(hint);
});
