import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { shellQuote } from '../../lib/shell-quote.js';
import { installLibsql } from './install-libsql.js';

/** A package folder below `above`, with or without a package.json. */
async function installed(above: string, hasManifest: boolean): Promise<string> {
  const folder = join(await temporaryFolder(), above);
  const own = join(folder, 'node_modules/portal-up');
  await mkdir(own, { recursive: true });
  if (hasManifest) await writeFile(join(folder, 'package.json'), '{}');
  return own;
}

it('a global installation gets libsql globally', async () => {
  const own = await installed('lib', false);
  const prefix = join(own, '../../..');
  expect(installLibsql(own, '/', prefix)).toBe('npm install --global libsql');
  expect(installLibsql(own, '/', '/usr')).toBe(`npm install --global --prefix ${shellQuote(prefix)} libsql`);
});

it('a project gets libsql in its own folder', async () => {
  const own = await installed('my app', true);
  const project = join(own, '../..');
  expect(installLibsql(own, project)).toBe('npm install libsql');
  expect(installLibsql(own, join(project, 'sub'))).toBe(`npm install --prefix '${project}' libsql`);
});

it('npx gets both packages', async () => {
  const own = await installed('.npm/_npx/0123abcd', true);
  expect(installLibsql(own, '/')).toBe('npx --package portal-up --package libsql portal relay');
});

it('a checkout installs its development packages', async () => {
  const folder = await temporaryFolder();
  expect(installLibsql(folder, folder)).toBe('npm ci');
  expect(installLibsql(folder, '/')).toBe(`npm ci --prefix ${shellQuote(folder)}`);
});
