import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openLocalCa } from '../../src/certificates/local-ca.js';
import { temporaryFolder } from './folder.js';

/** Local CAs that the tests of a worker use one after another, because creating one takes longer than many tests. */

const FILES = ['ca.key.pem', 'ca.pem'] as const;

/** The texts of FILES of each CA that no running test uses. */
const free: string[][] = [];

/** A new folder with a local CA that no other running test uses. Several in one test have different keys. */
export async function caFolder(): Promise<string> {
  const folder = await temporaryFolder();
  const paths = FILES.map((name) => join(folder, name));
  const known = free.pop();
  if (known) {
    await Promise.all(paths.map((path, index) => writeFile(path, known[index]!, { mode: 0o600 })));
  } else await openLocalCa(folder);
  const texts = known ?? (await Promise.all(paths.map((path) => readFile(path, 'utf8'))));
  onTestFinished(() => {
    free.push(texts);
  });
  return folder;
}
