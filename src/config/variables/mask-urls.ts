import { SCHEMA_URL } from '../schema/url.js';
import { MASK } from './secrets.js';

/** A range of a text: from `start` up to, but not including, `end`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

const SCHEMA_REFERENCE = `$schema=${SCHEMA_URL}`;
const SCHEME = /:\\?\/\\?\//;
/** `?` and `#` start a part that may contain a token, except the `?` of `${NAME:?message}`. */
const QUERY = /(?<!\$\{\w{1,64}:)[?#]/g;
const CLOSING = new Set(`"'\`}]),;`);

/**
 * The possible secrets in a text that may be a URL, as the user typed it: everything before its `@`, its query and
 * its fragment. Does not rely on the syntax, since rejected URLs are often malformed: a password may contain a slash,
 * and the scheme may be missing.
 */
export function secretsOfUrl(text: string): Range[] {
  const scheme = SCHEME.exec(text);
  const at = text.lastIndexOf('@');
  const afterScheme = scheme ? scheme.index + scheme[0].length : 0;
  const user = scheme && afterScheme <= at ? afterScheme : userStart(text, at);
  const query = scheme ? queryStart(text, afterScheme) : undefined;
  const end = endOfUrl(text);
  // An `@` after a `?` may belong to the query or to a password.
  if (user !== undefined && query !== undefined && query <= at) return [{ start: user, end }];
  const ranges = [
    { start: user ?? at, end: at },
    { start: query ?? end, end },
  ];
  return ranges.filter((range) => range.start < range.end);
}

function queryStart(text: string, from: number): number | undefined {
  QUERY.lastIndex = from;
  const found = QUERY.exec(text);
  return found ? found.index + 1 : undefined;
}

/** The end without surrounding quotes and brackets. */
function endOfUrl(text: string): number {
  let end = text.length;
  while (end > 0 && CLOSING.has(text[end - 1]!)) end -= 1;
  return end;
}

/** Without a scheme, the colon identifies `user:password@`. Without a colon it is an email address. */
function userStart(text: string, at: number): number | undefined {
  const colon = text.indexOf(':');
  if (colon === -1 || colon > at) return undefined;
  let start = colon;
  while (start > 0 && !/["'[{(,]/.test(text[start - 1]!)) start -= 1;
  return start;
}

/** The same as `secretsOfUrl`, for each word of a longer text. */
export function secretsOfUrls(text: string): Range[] {
  if (!/[@?#]/.test(text)) return [];
  return [...text.matchAll(/\S+/g)].flatMap(({ 0: word, index }) =>
    // The first line of a file that Portal writes. The `@` of its URL precedes a version.
    word === SCHEMA_REFERENCE
      ? []
      : secretsOfUrl(word).map(({ start, end }) => ({ start: start + index, end: end + index })),
  );
}

/** The value with possible secrets masked if it is a URL. */
export function maskUrl(text: string): string {
  return masked(text, secretsOfUrl(text));
}

/** The message with every URL masked. */
export function maskUrls(text: string): string {
  return masked(text, secretsOfUrls(text));
}

function masked(text: string, ranges: readonly Range[]): string {
  return ranges.toReversed().reduce((so, { start, end }) => so.slice(0, start) + MASK + so.slice(end), text);
}
