import { isUnder, pathOf } from '../../modes/http/routing/paths.js';

/** A Set-Cookie header limits the path of a link, and browsers ignore longer ones. */
const MAX_CHARS = 512;
/** Only one interpretation: no escapes, no parameters, no empty or dot segments. */
const PLAIN = /^(?:\/[\w.~!$&'()*+,=:@-]+)+$/;
const DOT_SEGMENT = /\/\.{1,2}(?:\/|$)/;
/** A target that decodes more often than this is on its own. */
const MAX_READINGS = 4;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const NOT_ASCII = /[\u0080-\uffff]/;
const MALFORMED_ESCAPE = /%(?![0-9a-f]{2})/i;
const ESCAPES = /(?:%[0-9a-f]{2})+/gi;
/** Targets drop these, end the path at them, or read them as a slash or as the start of parameters. */
const RISKY = /[\p{Cc}\\;]|%u[0-9a-f]{4}/iu;
/** Dropped by some targets: spaces, accents, and characters without a width. */
const INVISIBLE = /[\p{Cf}\p{Z}\p{M}\p{DI}]/gu;
/** Dropped by targets that convert text to ASCII. */
const BEYOND_ASCII = /[^\0-\u007f]/g;
/**
 * Two dots without a letter or digit before them, and a dot alone. Targets may read other characters beside them as a slash,
 * for example `¥` in a Japanese code page.
 */
const DOTS = /(?<![\p{L}\p{N}_.-])\.\.|\/\.(?:\/|$)/u;

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
 * Whether a request target is within the path of a link, however the service reads it. Below a path other than `/`, a target
 * that may be read in several ways is not: one with backslashes, parameters, control characters, malformed or overlong escapes,
 * or with dots that may go up.
 */
export function isWithin(target: string, path: string): boolean {
  const raw = pathOf(target);
  if (path === '/') return raw.startsWith('/');
  if (!isUnder(raw, path) || MALFORMED_ESCAPE.test(raw)) return false;
  let read = asText(raw);
  for (let i = 0; i < MAX_READINGS; i++) {
    if (read === undefined || isAmbiguous(read)) return false;
    const next = decoded(read);
    if (next === read) return true;
    read = next;
  }
  return false;
}

/** Compatible forms of dots and slashes count as well, because targets convert them. */
const isAmbiguous = (read: string): boolean =>
  RISKY.test(read) ||
  DOTS.test(read.normalize('NFKC').replace(INVISIBLE, '')) ||
  DOTS.test(read.replace(BEYOND_ASCII, ''));

/** The bytes of a request target, of which each is a character, as UTF-8. Undefined if they are not. */
function asText(raw: string): string | undefined {
  if (!NOT_ASCII.test(raw)) return raw;
  try {
    return UTF8.decode(Buffer.from(raw, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Undefined if an escape is not UTF-8, for example overlong. */
function decoded(text: string): string | undefined {
  try {
    return text.replace(ESCAPES, decodeURIComponent);
  } catch {
    return undefined;
  }
}
