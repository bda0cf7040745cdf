import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { SCHEMA_URL } from '../../config/schema/url.js';
import { packageFile } from '../../lib/package-file.js';

/** The schema's path in a project that installs Portal. */
const INSTALLED_SCHEMA = 'node_modules/portal-up/schema/portal.schema.json';
const COPY = 'portal.schema.json';

/** Where editors find the schema of a new portal.yaml. */
export interface EditorSchema {
  /** For the first line of portal.yaml: a path that starts at its folder, or a URL. */
  readonly reference: string;
  /** The file to write with `copySchema`, next to portal.yaml. */
  readonly copy?: string;
}

/**
 * The schema of the package that this repository installs, or else a copy next to portal.yaml. Both exist wherever the
 * repository is cloned, and work offline. A URL only if another file has the name of the copy.
 */
export async function editorSchema(folder: string): Promise<EditorSchema> {
  const above = foldersOfRepository(folder).find((each) => existsSync(join(each, INSTALLED_SCHEMA)));
  if (above !== undefined) {
    const way = relative(folder, above).split(sep).join('/');
    return { reference: `${way === '' ? '.' : way}/${INSTALLED_SCHEMA}` };
  }
  const copy = join(folder, COPY);
  return (await isOurs(copy)) ? { reference: `./${COPY}`, copy } : { reference: SCHEMA_URL };
}

/** Writes the schema of this version of Portal. */
export async function copySchema(copy: string): Promise<void> {
  await writeFile(copy, await readFile(packageFile('schema/portal.schema.json')));
}

/** Whether the file may be written: it does not exist, or it is an earlier copy. */
async function isOurs(copy: string): Promise<boolean> {
  if (!existsSync(copy)) return true;
  const text = await readFile(copy, 'utf8').catch(() => '');
  return text.includes(`"$id": "${SCHEMA_URL}"`);
}

/** `folder` and those above it in its git repository. Without a repository, only `folder`. */
function foldersOfRepository(folder: string): string[] {
  const folders = [folder];
  while (!existsSync(join(folders.at(-1)!, '.git'))) {
    const above = dirname(folders.at(-1)!);
    if (above === folders.at(-1)) return [folder];
    folders.push(above);
  }
  return folders;
}
