import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { OFFLINE } from './offline.js';

/**
 * The last commit before relays had several processes or machines, replicas, or data connections for several visitors. Replace
 * it with the tag of a release, once there is one.
 */
const PREVIOUS = '3688b5903b3bbde9b380928b7f4cf9760ec0a52b';

const run = promisify(execFile);
const INSTALL_MS = 180_000;
const BUILD_MS = INSTALL_MS + 60_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Builds the previous version of Portal from this repository's history, with the packages of its own lock file. Returns the
 * command that runs it in a test. The tests are skipped without the history, or without a registry.
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
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  try {
    await run('npm', ['ci', ...flags], { cwd: folder, timeout: INSTALL_MS });
  } catch (error) {
    if (!OFFLINE.test((error as { stderr: string }).stderr)) throw error;
    return 'no npm registry is reachable';
  }
  await run(process.execPath, ['scripts/build.mjs'], { cwd: folder });
  return undefined;
}
