import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** Programs of Debian that tests use as real peers: found, or installed where this user may. */

const run = promisify(execFile);
const INSTALL_MS = 180_000;

export type Binary = { readonly path: string } | { readonly skip: string };

/** Where packages put what is not meant to be typed. */
const FOLDERS = ['/usr/sbin', '/usr/local/sbin', ...(process.env['PATH'] ?? '').split(delimiter)];

/** `name` as an absolute path, installed from `debianPackage` if need be; else the reason to skip with. */
export async function ensureBinary(name: string, debianPackage: string): Promise<Binary> {
  const present = await find(name);
  if (present) return { path: present };
  const failure = await (installs[debianPackage] ??= install(debianPackage));
  const installed = await find(name);
  if (installed) return { path: installed };
  return { skip: `${name} is not here: ${failure ?? `${debianPackage} does not bring it`}` };
}

/** One attempt a package and process. */
const installs: Record<string, Promise<string | undefined>> = {};

/** Resolves with why it did not work. */
async function install(debianPackage: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return `only root can install ${debianPackage}`;
  // RUNLEVEL 1: what is a service of the system is installed, not started.
  const options = {
    timeout: INSTALL_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  };
  const apt = ['-qq', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2'];
  const get = () =>
    run('apt-get', [...apt, 'install', '-y', '--no-install-recommends', debianPackage], options);
  try {
    await get().catch(async () => {
      // The list of packages may be stale, or not there at all.
      await run('apt-get', [...apt, 'update'], options);
      await get();
    });
    return undefined;
  } catch (error) {
    return `${debianPackage} could not be installed (${(error as Error).message.split('\n', 1)[0]})`;
  }
}

async function find(name: string): Promise<string | undefined> {
  for (const folder of FOLDERS) {
    const path = join(folder, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}
