import { MASK } from './secrets.js';

/** A stretch of a text: from `start` up to, not including, `end`. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

const SCHEME = /:\\?\/\\?\//;
/** `?` and `#` begin what may hold a token, but not the `?` of `${NAME:?message}`. */
const QUERY = /(?<!\$\{\w{1,64}:)[?#]/g;
const CLOSING = new Set(`"'\`}]),;`);

/**
 * What may be a secret in one piece of text that may be a URL, as it was typed: everything before its `@`, and
 * its query and fragment. A URL that is refused is often a malformed one, so nothing relies on its form: a
 * password may have a slash in it, and the scheme may be missing.
 */
export function secretsOfUrl(text: string): Stretch[] {
  const scheme = SCHEME.exec(text);
  const at = text.lastIndexOf('@');
  const afterScheme = scheme ? scheme.index + scheme[0].length : 0;
  const user = scheme && afterScheme <= at ? afterScheme : userStart(text, at);
  const query = scheme ? queryStart(text, afterScheme) : undefined;
  const end = endOfUrl(text);
  // An `@` behind a `?`: whether a query or a password goes on there, nobody can tell.
  if (user !== undefined && query !== undefined && query <= at) return [{ start: user, end }];
  const stretches = [
    { start: user ?? at, end: at },
    { start: query ?? end, end },
  ];
  return stretches.filter((stretch) => stretch.start < stretch.end);
}

function queryStart(text: string, from: number): number | undefined {
  QUERY.lastIndex = from;
  const found = QUERY.exec(text);
  return found ? found.index + 1 : undefined;
}

/** Without the quotes and brackets around it. */
function endOfUrl(text: string): number {
  let end = text.length;
  while (end > 0 && CLOSING.has(text[end - 1]!)) end -= 1;
  return end;
}

/** Without a scheme, `user:password@` is told by its colon: what has none is an e-mail address. */
function userStart(text: string, at: number): number | undefined {
  const colon = text.indexOf(':');
  if (colon === -1 || colon > at) return undefined;
  let start = colon;
  while (start > 0 && !/["'[{(,]/.test(text[start - 1]!)) start -= 1;
  return start;
}

/** The same for each word of a longer text. */
export function secretsOfUrls(text: string): Stretch[] {
  if (!/[@?#]/.test(text)) return [];
  return [...text.matchAll(/\S+/g)].flatMap(({ 0: word, index }) =>
    secretsOfUrl(word).map(({ start, end }) => ({ start: start + index, end: end + index })),
  );
}

/** A value with whatever may be a secret in it masked, if it is a URL. */
export function maskUrl(text: string): string {
  return masked(text, secretsOfUrl(text));
}

/** A message with every URL in it masked. */
export function maskUrls(text: string): string {
  return masked(text, secretsOfUrls(text));
}

function masked(text: string, stretches: readonly Stretch[]): string {
  return stretches
    .toReversed()
    .reduce((so, { start, end }) => so.slice(0, start) + MASK + so.slice(end), text);
}
