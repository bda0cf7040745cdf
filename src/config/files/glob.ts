import { resolve, sep } from 'node:path';

/** Patterns of paths: `*` and `?` within the names of files and folders. */

export const isPattern = (path: string): boolean => /[*?]/.test(path);

/** Lists a folder: the names in it, sorted. Undefined if it is not a folder. */
export type List = (folder: string) => Promise<readonly string[] | undefined>;

export interface Matches {
  /** Absolute paths that may exist, sorted. */
  readonly paths: readonly string[];
  /** The folders that decide which paths match. */
  readonly folders: readonly string[];
}

/** Folders to look into. A pattern with more of them was not meant. */
const MAX_FOLDERS = 1_000;

/**
 * The paths that a pattern may mean, from `base`. As in a shell, `*` matches no name that begins with a dot, unless the pattern
 * does. Throws a RangeError for a pattern with too many folders.
 */
export async function expand(pattern: string, base: string, list: List): Promise<Matches> {
  const parts = pattern.split(sep === '\\' ? /[\\/]/ : '/');
  const first = parts.findIndex(isPattern);
  const folders: string[] = [];
  let paths = [resolve(base, parts.slice(0, first).join('/') || (pattern.startsWith('/') ? '/' : '.'))];
  for (const part of parts.slice(first)) {
    if (!isPattern(part)) {
      paths = paths.map((path) => resolve(path, part));
      continue;
    }
    const found: string[] = [];
    if (folders.length + paths.length > MAX_FOLDERS)
      throw new RangeError(`the pattern matches more than ${MAX_FOLDERS.toLocaleString('en')} folders`);
    for (const folder of paths) {
      folders.push(folder);
      for (const name of (await list(folder)) ?? [])
        if (matches(part, name)) found.push(resolve(folder, name));
    }
    paths = found;
  }
  return { paths: [...new Set(paths)].toSorted(), folders };
}

/** Whether a name matches. Takes time in proportion to pattern times name, however many `*` there are. */
export function matches(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false;
  let [at, from] = [0, 0];
  let star = -1;
  let after = 0;
  while (from < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      after = from;
    } else if (pattern[at] === '?' || pattern[at] === name[from]) {
      at++;
      from++;
    } else if (star !== -1) {
      // The last `*` takes one more character.
      at = star + 1;
      from = ++after;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
