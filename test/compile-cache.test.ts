import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readdir, stat, symlink } from 'node:fs/promises';
import module from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from './support/folder.js';

const PORTAL = fileURLToPath(new URL('../bin/portal.js', import.meta.url));

let home: string;
let cache: string;

beforeEach(async (ctx) => {
  if (!('enableCompileCache' in module)) ctx.skip(`Node ${process.versions.node} has no compile cache`);
  home = await temporaryFolder();
  cache = join(home, 'portal');
});

/** The contents of the cache after a start, under a umask that removes no permission. */
async function afterStart(): Promise<string[]> {
  const env = { ...process.env, XDG_CACHE_HOME: home, PORTAL_HOME: '' };
  const command = 'umask 000; exec "$0" "$1" --version';
  await promisify(execFile)('/bin/sh', ['-c', command, process.execPath, PORTAL], { env, timeout: 20_000 });
  return readdir(cache);
}

describe('the folder for compiled code', () => {
  it('is accessible only to its owner', async () => {
    expect(await afterStart()).toHaveLength(1);
    expect((await stat(cache)).mode & 0o777).toBe(0o700);
  });

  it('is not used if others can write to it', async () => {
    await mkdir(cache);
    await chmod(cache, 0o770);
    expect(await afterStart()).toEqual([]);
  });

  it('is not used if another user owns it', async (ctx) => {
    if (process.geteuid?.() !== 0) ctx.skip('only root can give a folder to another user');
    await mkdir(cache, { mode: 0o700 });
    await chown(cache, 54_322, 54_322);
    expect(await afterStart()).toEqual([]);
  });

  it('is not used if it is a symbolic link', async () => {
    await mkdir(join(home, 'elsewhere'), { mode: 0o700 });
    await symlink('elsewhere', cache);
    expect(await afterStart()).toEqual([]);
  });
});
