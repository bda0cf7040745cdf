import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../test/support/folder.js';
import { SCHEMA_URL } from '../../config/schema/url.js';
import { packageFile } from '../../lib/package-file.js';
import { copySchema, editorSchema, type EditorSchema } from './editor-schema.js';

async function folderWith(...files: string[]): Promise<string> {
  const folder = await temporaryFolder();
  for (const file of [...files, 'apps/web/package.json']) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), '{}');
  }
  return folder;
}

const INSTALLED = 'node_modules/portal-up/schema/portal.schema.json';

const copyIn = (folder: string): EditorSchema => ({
  reference: './portal.schema.json',
  copy: join(folder, 'portal.schema.json'),
});

it('is the schema of the package in this folder, or above it in the same repository', async () => {
  const folder = await folderWith(INSTALLED, '.git/HEAD');
  expect(await editorSchema(folder)).toEqual({ reference: `./${INSTALLED}` });
  expect(await editorSchema(join(folder, 'apps/web'))).toEqual({ reference: `../../${INSTALLED}` });
});

it('is a copy where others who clone the repository would not find the package', async () => {
  const folder = await folderWith('.git/HEAD');
  expect(await editorSchema(folder)).toEqual(copyIn(folder));
  const outside = await folderWith(INSTALLED);
  expect(await editorSchema(join(outside, 'apps/web'))).toEqual(copyIn(join(outside, 'apps/web')));
  await mkdir(join(outside, 'apps/.git'));
  expect(await editorSchema(join(outside, 'apps/web'))).toEqual(copyIn(join(outside, 'apps/web')));
});

it('renews an earlier copy, but never another file of that name', async () => {
  const folder = await folderWith('.git/HEAD');
  const copy = join(folder, 'portal.schema.json');
  await writeFile(copy, `{ "$id": "${SCHEMA_URL}", "properties": {} }`);
  expect((await editorSchema(folder)).copy).toBe(copy);
  await copySchema(copy);
  expect(await readFile(copy, 'utf8')).toBe(await readFile(packageFile('schema/portal.schema.json'), 'utf8'));
  expect((await editorSchema(folder)).copy).toBe(copy);
  await writeFile(copy, '{ "$id": "https://example.com/other.json" }');
  expect(await editorSchema(folder)).toEqual({ reference: SCHEMA_URL });
});
