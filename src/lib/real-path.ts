import { readlink, realpath } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';

const MAX_LINKS = 40;

/** Where a path leads through every link, even if nothing exists there. */
export async function realPath(path: string, links = 0): Promise<string> {
  const whole = await realOf(path);
  if (whole !== undefined || links > MAX_LINKS) return whole ?? path;
  const parts = path.split(sep);
  const upTo = (count: number): string => parts.slice(0, count).join(sep) || sep;
  // Everything below a missing part is missing, so a binary search finds the first one.
  let [there, missing] = [1, parts.length];
  let real: string = sep;
  while (missing - there > 1) {
    const middle = (there + missing) >> 1;
    const found = await realOf(upTo(middle));
    if (found === undefined) missing = middle;
    else [there, real] = [middle, found];
  }
  if (there === 1) real = (await realOf(upTo(1))) ?? upTo(1);
  const rest = parts.slice(missing);
  const link = await readlink(join(real, parts[missing - 1]!)).catch(() => undefined);
  if (link !== undefined) return realPath(join(resolve(real, link), ...rest), links + 1);
  return join(real, parts[missing - 1]!, ...rest);
}

const realOf = (path: string): Promise<string | undefined> => realpath(path).catch(() => undefined);

/** Whether `path` is `folder` or inside it. Both are real paths. */
export function isWithin(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
