import { isUnder, pathOf, readLeniently } from '../../modes/http/paths.js';

/** A Set-Cookie header limits the path of a link, and browsers ignore longer ones. */
const MAX_CHARS = 512;
/** Only one interpretation: no escapes, no parameters, no empty or dot segments. */
const PLAIN = /^(?:\/[\w.~!$&'()*+,=:@-]+)+$/;
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/;
/** A target that decodes more often than this is on its own. */
const MAX_READINGS = 4;

/** The path of a share link without a trailing slash; '/' for all paths. Undefined if it may be read in several ways. */
export function linkPath(text: string): string | undefined {
  if (text === '' || text.length > MAX_CHARS) return undefined;
  // Not by a regular expression: visitors send paths of many slashes, which take it long.
  let end = text.length;
  while (text[end - 1] === '/') end--;
  if (end === 0) return '/';
  const path = text.slice(0, end);
  return PLAIN.test(path) && !DOT_SEGMENT.test(path) ? path : undefined;
}

/**
 * Whether a request target is within the path of a link, however the service reads it: escapes, even nested ones, backslashes,
 * parameters and repeated slashes.
 */
export function isWithin(target: string, path: string): boolean {
  const prefix = path === '/' ? '' : path;
  let read: string | undefined = pathOf(target);
  for (let i = 0; i < MAX_READINGS; i++) {
    if (!isUnder(read, prefix)) return false;
    const next = readLeniently(read);
    if (next === undefined) return false;
    if (next === read) return true;
    read = next;
  }
  return false;
}
