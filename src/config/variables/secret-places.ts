import { isMap, isScalar, isSeq, type Node } from 'yaml';
import { secretsOfUrl, secretsOfUrls } from './mask-urls.js';
import { isSecret } from './secrets.js';
import type { Place, Source } from '../text/source.js';
import type { Path, Tree } from '../text/tree.js';

/** Places of every secret scalar in one tree. The tree has fewer than the text: it contains a repeated key once. */
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

/**
 * The same for the nodes of a parsed document, including keys that are repeated, rejected or merged away. Also
 * searches whole values for URLs, since quoted text may contain spaces.
 */
export function secretPlacesOfNodes(source: Source, root: Node | null): Place[] {
  const places: Place[] = [];
  const path: (string | number)[] = [];
  const add = (node: Node): void => {
    const [start, end] = node.range ?? [0, 0];
    if (isSecret(path)) places.push({ source, start, end });
    else places.push(...placesIn(source, start, secretsOfUrl(source.text.slice(start, end))));
  };
  const inside = (part: string | number, node: unknown): void => {
    path.push(part);
    walk(node);
    path.pop();
  };
  const walk = (node: unknown): void => {
    if (isSeq(node)) for (const [index, item] of node.items.entries()) inside(index, item);
    else if (isMap(node)) for (const { key, value } of node.items) pair(key, value);
    else if (isScalar(node) && node.value !== null) add(node);
  };
  const pair = (key: unknown, value: unknown): void => {
    if (isScalar(key)) {
      // A mapping instead of a PIN, as in `pin: {1234}`: its keys are secret.
      if (isBelowPin(path)) add(key);
      if (key.value === '<<') walk(value);
      else inside(String(key.value), value);
    } else {
      // A key that is not text may mean anything.
      inside('pin', key);
      inside('pin', value);
    }
  };
  walk(root);
  return places;
}

function isBelowPin(path: Path): boolean {
  return isSecret(path) && path.some((part) => /^(pin|.*secret)s?$/i.test(String(part)));
}

/** Credentials and queries of every URL, even in comments and in text that does not parse. */
export function secretPlacesOfUrls(source: Source): Place[] {
  return placesIn(source, 0, secretsOfUrls(source.text));
}

function placesIn(source: Source, offset: number, stretches: ReturnType<typeof secretsOfUrl>): Place[] {
  return stretches.map(({ start, end }) => ({ source, start: start + offset, end: end + offset }));
}

const SECRET_LINE =
  /^.*?\b(?:env|environment|pins?|basic|\w*secrets?|webhooks?|headers?)["']?[ \t]*:[ \t]*/is;

/**
 * The same for a text that does not parse. Its structure is unreliable, so this masks the rest of the line after a
 * secret's key, and every line indented below it. That is too much rather than too little.
 */
export function secretPlacesOfText(source: Source): Place[] {
  return secretsInLines(source, linesOf(source));
}

/** The same for comments: a commented-out PIN is still secret. */
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
