import type { Place } from './source.js';

/**
 * The configuration as written: values with their places, kept through overlay and interpolation. Trees are
 * immutable; aliases share branches.
 */
export type Tree = MapTree | ListTree | ScalarTree;

export interface MapTree {
  readonly kind: 'map';
  readonly place: Place;
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface Entry {
  readonly keyPlace: Place;
  readonly value: Tree;
}

interface ListTree {
  readonly kind: 'list';
  readonly place: Place;
  readonly items: readonly Tree[];
}

export interface ScalarTree {
  readonly kind: 'scalar';
  readonly place: Place;
  readonly value: string | number | boolean | null;
  /** The value came from `${…}`. Portal never shows it, and the schema may cast it to a number or boolean. */
  readonly interpolated: boolean;
  /** The variables that the value refers to, directly or through a `.env`. Undefined: none. */
  readonly variables?: readonly string[];
  /** Written where a secret belongs, or reused there through an alias. Portal never shows it, at any path. */
  readonly secret?: boolean;
}

/** Keys and indices from the root to a value. */
export type Path = readonly (string | number)[];

/** RFC 6901. */
export function toPointer(path: Path): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

export function fromPointer(pointer: string): string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The child under a key or index, if this tree has one. */
export function child(tree: Tree | undefined, key: string | number): Tree | undefined {
  if (tree?.kind === 'map') return tree.entries.get(String(key))?.value;
  if (tree?.kind === 'list') return tree.items[Number(key)];
  return undefined;
}

/** The value at a path. Undefined if the document has none. */
export function treeAt(root: Tree, path: Path): Tree | undefined {
  return path.reduce<Tree | undefined>((tree, part) => child(tree, part), root);
}

/**
 * The place to show for a path: a scalar itself, or a collection's key. For a missing value, the innermost existing
 * parent.
 */
export function placeOf(root: Tree, path: Path): Place {
  let tree = root;
  let key: Place | undefined;
  let missing = false;
  for (const part of path) {
    const next = child(tree, part);
    missing = next === undefined;
    if (!next) break;
    key = keyPlaceOf(tree, part);
    tree = next;
  }
  const { source, start, end } = tree.place;
  const written = end > start;
  if (tree.kind === 'scalar' && !missing && written) return tree.place;
  return key ?? { source, start, end: tree.kind === 'scalar' ? end : start + 1 };
}

/** The place of a key in a mapping. */
export function keyPlaceOf(tree: Tree | undefined, key: string | number): Place | undefined {
  return tree?.kind === 'map' ? tree.entries.get(String(key))?.keyPlace : undefined;
}

/** Plain objects, arrays and scalars. Copies every branch, including shared ones. */
export function toValue(tree: Tree): unknown {
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'list') return tree.items.map(toValue);
  const value: Record<string, unknown> = {};
  for (const [key, entry] of tree.entries) value[key] = toValue(entry.value);
  return value;
}

/** The entries of a mapping. Empty for other values. */
export function entriesOf(tree: Tree | undefined): Iterable<[string, Entry]> {
  return tree?.kind === 'map' ? tree.entries : [];
}

/** The items of a list. Empty for other values. */
export function itemsOf(tree: Tree | undefined): readonly Tree[] {
  return tree?.kind === 'list' ? tree.items : [];
}

/** The values of a setting that is one value or a list, with their paths. Of a list, the first `max`. */
export function oneOrMore(root: Tree, key: string, max: number): (readonly [value: Tree, path: Path])[] {
  const value = child(root, key);
  if (value?.kind !== 'list') return value ? [[value, [key]]] : [];
  return value.items.slice(0, max).map((item, index) => [item, [key, index]] as const);
}

/** The text of a string or number. Undefined for other values. */
export function textOf(tree: Tree | undefined): string | undefined {
  if (tree?.kind !== 'scalar') return undefined;
  return typeof tree.value === 'string' || typeof tree.value === 'number' ? String(tree.value) : undefined;
}

/** A mapping with only these keys, or without them. Other values unchanged. */
export function onlyKeys(tree: Tree, keys: readonly string[], isKept = true): Tree {
  if (tree.kind !== 'map') return tree;
  const entries = [...tree.entries].filter(([key]) => keys.includes(key) === isKept);
  return { ...tree, entries: new Map(entries) };
}

/** A mapping with the entries of another one. */
export function withEntriesOf(tree: Tree, other: Tree): Tree {
  if (tree.kind !== 'map' || other.kind !== 'map') return tree;
  return { ...tree, entries: new Map([...tree.entries, ...other.entries]) };
}
