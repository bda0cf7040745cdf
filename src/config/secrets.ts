import type { Place, Source } from './source.js';
import type { Path, Tree } from './tree.js';

/** What stands in place of a secret wherever one would be printed. */
export const MASK = '****';

const SECRET_KEY = /^(pin|header)s?$/i;

/**
 * Whether a value must not be printed: PINs and header values. It goes by key rather than by exact path, so
 * that a PIN under the wrong parent, or misspelt below `access`, is not shown by the very error about it.
 */
export function isSecret(path: Path): boolean {
  return path.some((part, index) => {
    if (typeof part === 'number' || isFreeName(path, index)) return false;
    if (part === 'access') return path[index + 1] !== 'allowIps';
    return SECRET_KEY.test(part);
  });
}

/** Keys that a person makes up: a service may well be called `pin`. */
function isFreeName(path: Path, index: number): boolean {
  if (index === 1) return path[0] === 'services' || path[0] === 'chains';
  return path[index - 1] === 'routes' || path[index - 1] === 'metadata';
}

/** Places of every secret scalar of one document. */
export function secretPlaces(root: Tree): Place[] {
  const places: Place[] = [];
  const path: (string | number)[] = [];
  const visit = (tree: Tree, part: string | number): void => {
    path.push(part);
    walk(tree);
    path.pop();
  };
  const walk = (tree: Tree): void => {
    if (tree.kind === 'map') for (const [key, entry] of tree.entries) visit(entry.value, key);
    else if (tree.kind === 'list') for (const [index, item] of tree.items.entries()) visit(item, index);
    else if (isSecret(path)) places.push(tree.place);
  };
  walk(root);
  return places;
}

const SECRET_LINE = /^.*?\b(?:pins?|headers?)["']?[ \t]*:[ \t]*/i;

/**
 * The same for a text that does not parse, so that its structure cannot be relied on: the rest of a line
 * after a secret's key, and every line indented below it. It rather masks too much.
 */
export function secretPlacesOfText(source: Source): Place[] {
  return secretsInLines(source, linesOf(source));
}

/** The same for what is commented out: a PIN put aside is still a PIN. */
export function secretPlacesOfComments(source: Source): Place[] {
  const comments = linesOf(source).map((line) => {
    const mark = /(?:^|\s)#\|?/.exec(line);
    if (!mark) return '';
    const end = mark.index + mark[0].length;
    return ' '.repeat(end) + line.slice(end);
  });
  return secretsInLines(source, comments);
}

function linesOf(source: Source): string[] {
  return source.lineStarts.map((start, index) =>
    source.text.slice(start, source.lineStarts[index + 1]).trimEnd(),
  );
}

function secretsInLines(source: Source, lines: readonly string[]): Place[] {
  const places: Place[] = [];
  let openIndent = Infinity;
  for (const [index, line] of lines.entries()) {
    const indent = line.search(/\S/);
    if (indent === -1) continue;
    if (indent <= openIndent) openIndent = Infinity;
    const key = SECRET_LINE.exec(line)?.[0];
    if (key !== undefined) openIndent = Math.min(openIndent, indent);
    const from = key?.length ?? (indent > openIndent ? indent : undefined);
    const start = source.lineStarts[index]!;
    if (from !== undefined) places.push({ source, start: start + from, end: start + line.length });
  }
  return places;
}

/** A copy of a plain value with every secret in it masked. */
export function maskSecrets(value: unknown, path: Path = []): unknown {
  if (Array.isArray(value)) return value.map((item, index) => maskSecrets(item, [...path, index]));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, maskSecrets(inner, [...path, key])]),
    );
  }
  return isSecret(path) && value !== null ? MASK : value;
}
