import { lstat, readlink } from 'node:fs/promises';
import { dirname, join, parse as parsePath, resolve, sep } from 'node:path';

/** Linux follows as many links before it fails with ELOOP. */
const MAX_LINKS = 40;

/**
 * Every path whose replacement can change what `path` leads to: the file, each symbolic link on the way to it,
 * and, where the way ends, the first thing that is missing. Absolute, in the order they are met.
 *
 * `/etc/app/portal.yaml` in a Kubernetes volume gives itself (a link to `..data/portal.yaml`), `/etc/app/..data`
 * (a link to a dated directory), and the file in that directory.
 */
export async function pathsThatMatter(path: string): Promise<string[]> {
  const found = new Set<string>();
  let current = resolve(path);
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    const next = await followOne(current, found);
    if (next === undefined) break;
    current = next;
  }
  return [...found];
}

/** Walks to the first link and returns the path that it leads to. Undefined at the end. */
async function followOne(path: string, found: Set<string>): Promise<string | undefined> {
  const { root } = parsePath(path);
  const parts = path.slice(root.length).split(sep).filter(Boolean);
  let at = root;
  for (const [index, part] of parts.entries()) {
    at = join(at, part);
    const stats = await lstat(at).catch(() => undefined);
    const isLast = index === parts.length - 1;
    if (!stats || isLast || stats.isSymbolicLink()) found.add(at);
    if (!stats) return undefined;
    if (stats.isSymbolicLink()) return resolve(dirname(at), await linkTarget(at), ...parts.slice(index + 1));
  }
  return undefined;
}

/** If the link was replaced meanwhile, returns the path itself, and the walk starts again. */
async function linkTarget(path: string): Promise<string> {
  return readlink(path).catch(() => path);
}
