import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Packages from registries that tests try Portal with, installed once into a cache of this checkout. */

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/portal-tests', import.meta.url));
/** A slower registry counts as unavailable. */
const INSTALL_MS = 60_000;

export type Installed = { readonly folder: string } | { readonly skip: string };

/** A folder whose node_modules contain these packages, or the reason why they are unavailable. */
export const npmPackages = (...packages: string[]): Promise<Installed> =>
  installed('npm', packages, async (folder) => {
    await writeFile(join(folder, 'package.json'), '{ "private": true }');
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
    await run('npm', ['install', ...flags, ...packages], { cwd: folder, timeout: INSTALL_MS });
  });

/** A folder for `PYTHONPATH` with these packages, or the reason why they are unavailable. */
export const pythonPackages = (...packages: string[]): Promise<Installed> =>
  installed('python', packages, async (folder) => {
    const flags = ['--quiet', '--disable-pip-version-check', '--no-compile', '--target', folder];
    await run('python3', ['-m', 'pip', 'install', ...flags, ...packages], { timeout: INSTALL_MS });
  });

async function installed(
  kind: string,
  packages: readonly string[],
  install: (folder: string) => Promise<void>,
): Promise<Installed> {
  const id = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 12);
  const folder = join(CACHE, `${kind}-${id}`);
  if (existsSync(folder)) return { folder };
  // Moves the complete folder into place, so that the next run never finds an interrupted installation.
  const making = `${folder}.${process.pid}`;
  try {
    await mkdir(making, { recursive: true });
    await install(making);
    await rename(making, folder);
    return { folder };
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { skip: `${packages.join(' ')} cannot be installed: ${reason}` };
  }
}
