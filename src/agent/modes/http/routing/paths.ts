/**
 * The only code that interprets paths. Routing uses the received bytes of a path, and forwards them unchanged. But targets
 * interpret paths in their own ways: they may decode `%61`, treat `\` or `%2F` as `/`, drop `;v=1`, or go up at `..`. So each
 * path is checked a second time under the most lenient interpretation. If that leads to another route, or goes up anywhere,
 * the path is rejected, so that no notation bypasses a route.
 */

/** Paths without any of this have only one interpretation. */
const AMBIGUOUS = /[%\\;]|\/[./]/;
/** Characters that a request target may contain. `#` starts a fragment, which is never sent (RFC 9112, 3.2). */
const FORBIDDEN = /[^!"$-~\u0080-\u00ff]/;
const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:\/|$)/;

/** The path of a request target in origin form: everything before the query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

export function isWellFormed(target: string): boolean {
  return target.charCodeAt(0) === 0x2f && !FORBIDDEN.test(target);
}

/**
 * The path as the most lenient target interprets it. The path itself if there is only one interpretation, and undefined if a
 * target would go up from it.
 */
export function readLeniently(path: string): string | undefined {
  if (!AMBIGUOUS.test(path)) return path;
  const read = path
    .replace(/%[0-9a-fA-F]{2}/g, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
    .replaceAll('\\', '/')
    .replace(/;[^/]*/g, '')
    .replace(/\/{2,}/g, '/');
  return DOT_SEGMENT.test(read) ? undefined : read;
}

/** Whether `path` is `prefix` or below it, on whole segments. `prefix` has no trailing slash; '' matches everything. */
export function isUnder(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  const next = path.charCodeAt(prefix.length);
  return Number.isNaN(next) || next === 0x2f || next === 0x3f || next === 0x23;
}
