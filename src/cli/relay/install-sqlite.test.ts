import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { shellQuote } from '../../lib/shell-quote.js';
import { installSqlite } from './install-sqlite.js';

/** A package folder below `above`, with or without a package.json. */
async function installed(above: string, hasManifest: boolean): Promise<string> {
  const folder = join(await temporaryFolder(), above);
  const own = join(folder, 'node_modules/portal-up');
  await mkdir(own, { recursive: true });
  if (hasManifest) await writeFile(join(folder, 'package.json'), '{}');
  return own;
}

it('a global installation gets SQLite globally', async () => {
  const own = await installed('lib', false);
  const prefix = join(own, '../../..');
  expect(installSqlite(own, '/', prefix)).toBe('npm install --global @photostructure/sqlite');
  expect(installSqlite(own, '/', '/usr')).toBe(
    `npm install --global --prefix ${shellQuote(prefix)} @photostructure/sqlite`,
  );
});

it('a project gets SQLite in its own folder', async () => {
  const own = await installed('my app', true);
  const project = join(own, '../..');
  expect(installSqlite(own, project)).toBe('npm install @photostructure/sqlite');
  expect(installSqlite(own, join(project, 'sub'))).toBe(
    `npm install --prefix '${project}' @photostructure/sqlite`,
  );
});

it('npx gets both packages', async () => {
  const own = await installed('.npm/_npx/0123abcd', true);
  expect(installSqlite(own, '/')).toBe(
    'npx --package portal-up --package @photostructure/sqlite portal relay',
  );
});

it('a checkout installs its development packages', async () => {
  const folder = await temporaryFolder();
  expect(installSqlite(folder, folder)).toBe('npm ci');
  expect(installSqlite(folder, '/')).toBe(`npm ci --prefix ${shellQuote(folder)}`);
});
