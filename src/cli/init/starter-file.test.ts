import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { SCHEMA_URL } from '../../config/schema-url.js';
import { schemaReference } from './starter-file.js';

async function folderWith(...files: string[]): Promise<string> {
  const folder = await temporaryFolder();
  for (const file of [...files, 'apps/web/package.json']) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), '{}');
  }
  return folder;
}

const INSTALLED = 'node_modules/portal-up/schema/portal.schema.json';

it('is the schema of the package in this folder, or above it in the same repository', async () => {
  const folder = await folderWith(INSTALLED, '.git/HEAD');
  expect(schemaReference(folder)).toBe(`./${INSTALLED}`);
  expect(schemaReference(join(folder, 'apps/web'))).toBe(`../../${INSTALLED}`);
});

it('is a URL where others who clone the repository would not find the file', async () => {
  expect(schemaReference(await folderWith('.git/HEAD'))).toBe(SCHEMA_URL);
  const outside = await folderWith(INSTALLED);
  expect(schemaReference(join(outside, 'apps/web'))).toBe(SCHEMA_URL);
  await mkdir(join(outside, 'apps/.git'));
  expect(schemaReference(join(outside, 'apps/web'))).toBe(SCHEMA_URL);
});
