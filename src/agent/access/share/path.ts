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
  const path = text.replace(/\/+$/, '');
  if (path === '') return text === '' ? undefined : '/';
  if (path.length > MAX_CHARS || !PLAIN.test(path) || DOT_SEGMENT.test(path)) return undefined;
  return path;
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
