import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { useFilesOf } from '../lib/package-file.js';
import { portalPaths } from '../lib/paths.js';
import { createFile, makePrivateFolder, PRIVATE_MODE } from '../lib/private-file.js';
import { main } from './main.js';
import { executable } from './own-command.js';

/** Entry point of the standalone executable (scripts/executable.mjs), which contains the package's files. */

/** Written last: without it, the folder is incomplete. */
const COMPLETE = '.whole';

async function start(): Promise<void> {
  const text = executable()!.getAsset('files', 'utf8');
  const files = Object.entries(JSON.parse(text) as Record<string, string>);
  const version = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const folder = join(portalPaths(process.env).cacheDir, `files-${version}`);
  useFilesOf(await unpack(folder, files).catch(() => unpackForNow(files)));
  await main(process.argv);
}

async function unpack(folder: string, files: readonly (readonly [string, string])[]): Promise<string> {
  const isComplete = await stat(join(folder, COMPLETE)).catch(() => undefined);
  if (isComplete) return folder;
  for (const [path, content] of files) {
    await makePrivateFolder(dirname(join(folder, path)));
    await writeFile(join(folder, path), content, { mode: PRIVATE_MODE });
  }
  await createFile(join(folder, COMPLETE), '', PRIVATE_MODE);
  return folder;
}

/** For this process only, if the cache folder is not writable, as in a read-only container. */
async function unpackForNow(files: readonly (readonly [string, string])[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-files-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return unpack(folder, files);
}

void start();
