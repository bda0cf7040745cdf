import { lstat, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { isMissing } from './errors.js';

const MAX_LINKS = 40;

/** Where a path leads, through every link, whether or not there is something. */
export async function realPath(path: string, links = 0): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const parent = dirname(path);
    if (!isMissing(error) || parent === path || links > MAX_LINKS) return path;
    const isLink = await lstat(path).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    if (isLink) return realPath(resolve(await realPath(parent), await readlink(path)), links + 1);
    return join(await realPath(parent, links), basename(path));
  }
}

/** Whether `path` is `folder` or something in it. Both are real paths. */
export function isWithin(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
