import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const INSTALL_MS = 120_000;

/** A program of the system that a test needs: its path, or why it is not there. */
export type Binary = { readonly path: string } | { readonly skip: string };

const asked = new Map<string, Promise<Binary>>();

/** Finds `name` on the PATH; where it is missing and can be, it is installed out of Debian's `debianPackage`. */
export function ensureBinary(name: string, debianPackage: string): Promise<Binary> {
  let answer = asked.get(name);
  if (!answer) {
    answer = find(name, debianPackage);
    asked.set(name, answer);
  }
  return answer;
}

async function find(name: string, debianPackage: string): Promise<Binary> {
  const path = await onPath(name);
  if (path) return { path };
  if (process.getuid?.() !== 0)
    return { skip: `${name} is not there, and only root can install ${debianPackage}` };
  if (!(await onPath('apt-get')))
    return { skip: `${name} is not there, and there is no apt-get to install it with` };
  try {
    await run('apt-get', ['install', '-y', '--no-install-recommends', debianPackage], {
      timeout: INSTALL_MS,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  } catch (error) {
    return { skip: `${debianPackage} could not be installed: ${String(error).split('\n')[0]}` };
  }
  const installed = await onPath(name);
  return installed ? { path: installed } : { skip: `${debianPackage} brought no ${name}` };
}

async function onPath(name: string): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  for (const folder of folders.filter(Boolean)) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}
