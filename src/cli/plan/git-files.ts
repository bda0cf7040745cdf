import { execFile } from 'node:child_process';
import { isAbsolute, posix, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { filesOnDisk, tooLarge, type Files } from '../../config/files/read-text.js';
import { MAX_FILE_BYTES } from '../../config/text/yaml.js';

const run = promisify(execFile);
const GIT_MS = 10_000;
/** More than the size limit of a file. */
const MAX_BYTES = 16 * 1024 * 1024;

/** Runs git in `folder`. */
export type Git = (...args: string[]) => Promise<{ stdout: string }>;

export const gitIn =
  (folder: string): Git =>
  (...args) =>
    run('git', ['-C', folder, ...args], { timeout: GIT_MS, maxBuffer: MAX_BYTES });

/**
 * The files of the configuration in `folder` at the commit `ref`. A file that git does not track, such as one with personal
 * variables, is the one on the disk. So is a symbolic link.
 */
export function filesAt(folder: string, ref: string): Files {
  const git = gitIn(folder);
  const disk = filesOnDisk(undefined);
  return {
    async read(path, shown) {
      const inGit = pathInGit(folder, path);
      if (inGit === undefined) return disk.read(path, shown);
      const text = await textAt(git, ref, inGit);
      if (text !== undefined && text.length > MAX_FILE_BYTES) throw tooLarge(shown);
      return text ?? ((await isTracked(git, inGit)) ? undefined : disk.read(path, shown));
    },
    async list(path) {
      const inGit = pathInGit(folder, path);
      if (inGit === undefined) return disk.list(path);
      const { stdout } = await git('ls-tree', '-z', '--name-only', ref, '--', `${inGit}/`);
      const names = stdout.split('\0').filter(Boolean);
      return names.length === 0 ? undefined : names.map((name) => posix.basename(name)).toSorted();
    },
  };
}

/** The text of a file at a commit; undefined if it does not exist there. `path` begins with `./`. */
export async function textAt(git: Git, ref: string, path: string): Promise<string | undefined> {
  const { stdout } = await git('ls-tree', ref, '--', path);
  const [, object] = /^100\d{3} blob ([0-9a-f]+)\t/.exec(stdout) ?? [];
  return object === undefined ? undefined : (await git('cat-file', 'blob', object)).stdout;
}

/** Relative to the folder, as git writes paths. Undefined above the folder, which may be outside of the repository. */
function pathInGit(folder: string, path: string): string | undefined {
  const below = relative(folder, path);
  return below.startsWith('..') || isAbsolute(below) ? undefined : `./${below.replaceAll(sep, '/')}`;
}

async function isTracked(git: Git, path: string): Promise<boolean> {
  return (await git('ls-files', '--', `:(literal)${path}`)).stdout !== '';
}
