/**
 * The one place that reads paths. A route is found by the path's bytes as they came, and they are passed on
 * unchanged. But a target reads them its own way: it may decode `%61`, take `\` or `%2F` for `/`, drop `;v=1`, or
 * go up at `..`. So a path is looked at a second time, read as generously as any target might. If that reading
 * leads to another route, or goes up anywhere, the path is refused: nobody gets past a route by spelling.
 */

/** Paths without any of this read the same to everyone. */
const AMBIGUOUS = /[%\\;]|\/[./]/;
/** What may stand in a request target, besides `#`, which begins a fragment and is never sent (RFC 9112, 3.2). */
const FORBIDDEN = /[^!"$-~\u0080-\u00ff]/;
const DOT_SEGMENT = /(?:^|\/)\.{1,2}(?:\/|$)/;

/** The path of a request target in origin form: all before the query. */
export function pathOf(target: string): string {
  const query = target.indexOf('?');
  return query < 0 ? target : target.slice(0, query);
}

export function isWellFormed(target: string): boolean {
  return target.charCodeAt(0) === 0x2f && !FORBIDDEN.test(target);
}

/**
 * The path as the most generous target reads it; the path itself if there is one way only, and undefined if some
 * would go up from it.
 */
export function readGenerously(path: string): string | undefined {
  if (!AMBIGUOUS.test(path)) return path;
  const read = path
    .replace(/%[0-9a-fA-F]{2}/g, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)))
    .replaceAll('\\', '/')
    .replace(/;[^/]*/g, '')
    .replace(/\/{2,}/g, '/');
  return DOT_SEGMENT.test(read) ? undefined : read;
}

/** Whether `path` is `prefix` or below it, on whole segments. `prefix` has no slash at its end; '' is everything. */
export function isUnder(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  const next = path.charCodeAt(prefix.length);
  return Number.isNaN(next) || next === 0x2f || next === 0x3f || next === 0x23;
}
