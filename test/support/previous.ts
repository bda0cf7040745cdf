import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach } from 'vitest';

/**
 * The last commit before relays had several processes or machines, replicas, or data connections for several visitors. Replace
 * it with the tag of a release, once there is one.
 */
const PREVIOUS = '3688b5903b3bbde9b380928b7f4cf9760ec0a52b';

const run = promisify(execFile);
const BUILD_MS = 110_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Builds the previous version of Portal from this repository's history, with the packages of this checkout. Returns the command
 * that runs it in a test. The tests are skipped without the history.
 */
export function usePrevious(): () => readonly string[] {
  let folder = '';
  let skip: string | undefined;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'portal-previous-'));
    skip = await buildAt(folder);
  }, BUILD_MS);
  afterAll(() => rm(folder, { recursive: true, force: true }));
  beforeEach((context) => {
    if (skip !== undefined) context.skip(skip);
  });
  return () => [process.execPath, join(folder, 'bin', 'portal.js')];
}

/** Returns the reason if that is impossible here. */
async function buildAt(folder: string): Promise<string | undefined> {
  const archive = join(folder, 'source.tar');
  try {
    await run('git', ['archive', '--output', archive, PREVIOUS], { cwd: root });
  } catch {
    return `no commit ${PREVIOUS.slice(0, 8)}: git or the full history is missing`;
  }
  await run('tar', ['-xf', archive, '-C', folder]);
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await run(process.execPath, ['scripts/build.mjs'], { cwd: folder });
  return undefined;
}
