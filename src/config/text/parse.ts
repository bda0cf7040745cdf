import {
  isAlias,
  isMap,
  isScalar,
  visit,
  type YAMLError,
  type Alias,
  type Document,
  type ParsedNode,
  type YAMLMap,
} from 'yaml';
import type { Finding } from './finding.js';
import {
  secretPlaces,
  secretPlacesOfComments,
  secretPlacesOfNodes,
  secretPlacesOfText,
  secretPlacesOfUrls,
} from '../variables/secret-places.js';
import type { Place, Source } from './source.js';
import { syntaxWords } from '../words/syntax-words.js';
import type { Entry, MapTree, Path, ScalarTree, Tree } from './tree.js';
import { MAX_DEPTH, readYaml, YamlTooLarge } from './yaml.js';

/** Far more than any real file has. Limits aliases that multiply ("billion laughs"). */
const MAX_VALUES = 50_000;
/** No one reads more than this. */
const MAX_SYNTAX_ERRORS = 100;
/** How far before a mistake to look for the open bracket that explains it. */
const LINE_BEFORE = 300;

/** An identity: 0x and 40 hex digits. */
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;

export interface Parsed {
  readonly source: Source;
  /** After a syntax error, the part that could be read. */
  readonly tree: Tree;
  /** Set if the text could not be read in full, so that its content is uncertain. */
  readonly broken: boolean;
  readonly findings: readonly Finding[];
  /** Every secret of the text, including secrets that are missing from the tree. */
  readonly secrets: readonly Place[];
}

/**
 * Parses YAML 1.2 to a tree with places. Resolves aliases and `<<`. Reports every syntax error, duplicate key and
 * unknown tag. Does not interpolate.
 */
export function parse(source: Source): Parsed {
  try {
    return new Parser(source).run();
  } catch (error) {
    if (!(error instanceof YamlTooLarge)) throw error;
    return giveUp(source, error.message, error.offset);
  }
}

/** Where to look for the mistake: the parser points to where it noticed the mistake. */
function placeOf({ message, pos }: YAMLError, document: Document.Parsed, text: string): [number, number] {
  const [at] = pos;
  if (/^Missing closing ["']quote/.test(message)) return lastQuote(document, at) ?? pos;
  if (/^Flow (map|sequence) .*end with a/.test(message)) return lastBracket(document, at) ?? pos;
  if (!message.startsWith('All mapping items must start at the same column')) return pos;
  const [, indent = '', key = ''] = /^( *)([^\s:]*)/.exec(text.slice(at, at + LINE_BEFORE)) ?? [];
  return [at + indent.length, at + indent.length + Math.max(1, key.length)];
}

/** The innermost bracket that is open at `end`. */
function lastBracket(document: Document.Parsed, end: number): [number, number] | undefined {
  let start: number | undefined;
  visit(document, {
    Collection(_, node) {
      if (node.flow && node.range && node.range[0] <= end && node.range[1] >= end) start = node.range[0];
    },
  });
  return start === undefined ? undefined : [start, start + 1];
}

/** Where the quoted text begins that runs on to `end`; the parser points to the end of the file. */
function lastQuote(document: Document.Parsed, end: number): [number, number] | undefined {
  let start: number | undefined;
  visit(document, {
    Scalar(_, node) {
      const isQuoted = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE';
      if (isQuoted && node.range && node.range[0] <= end && node.range[1] >= end) start = node.range[0];
    },
  });
  return start === undefined ? undefined : [start, start + 1];
}

function giveUp(source: Source, message: string, offset = 0): Parsed {
  const place = { source, start: 0, end: 0 };
  const tree: Tree = { kind: 'scalar', place, value: null, interpolated: false };
  return {
    source,
    tree,
    broken: true,
    findings: [
      syntax(
        source,
        offset,
        offset + 1,
        [],
        message,
        'Split it into several files, and run `portal up` for each.',
      ),
    ],
    secrets: secretPlacesOfText(source),
  };
}

function syntax(
  source: Source,
  start: number,
  end: number,
  path: Path,
  message: string,
  hint?: string,
): Finding {
  return {
    place: { source, start, end },
    path,
    code: 'config_invalid',
    message,
    ...(hint === undefined ? {} : { hint }),
  };
}

class Parser {
  readonly #source: Source;
  readonly #findings: Finding[] = [];
  readonly #path: (string | number)[] = [];
  /** Nodes by anchor. As in YAML, a later anchor of the same name hides the earlier one. */
  readonly #anchors = new Map<string, ParsedNode>();
  /** Builds each node once, however many aliases refer to it. Undefined during the build. */
  readonly #built = new Map<ParsedNode, Tree | undefined>();
  readonly #sizes = new Map<Tree, number>();

  constructor(source: Source) {
    this.#source = source;
  }

  run(): Parsed {
    const document = readYaml(this.#source.text, {
      prettyErrors: false,
      uniqueKeys: false, // our own check also names the first place, and is not quadratic
      resolveKnownTags: false,
    });
    const places = new Set<number>();
    /** Lines with a `${` that opens a mapping. Later errors on them are consequences. */
    const braced = new Set<number>();
    for (const error of [...document.errors, ...document.warnings]) {
      const [start, end] = placeOf(error, document, this.#source.text);
      if (places.has(start)) continue; // the first error at a place causes the others
      if (places.size === MAX_SYNTAX_ERRORS) break;
      places.add(start);
      const { message, hint } = syntaxWords(error.code, error.message);
      const braceHint = this.#braceHint(start);
      if (braceHint !== undefined && braced.has(this.#source.position(start).line)) continue;
      if (braceHint !== undefined) braced.add(this.#source.position(start).line);
      this.#findings.push(syntax(this.#source, start, end, [], message, braceHint ?? hint));
    }
    const tree = document.contents === null ? this.#nothing(0) : this.#build(document.contents);
    if (this.#size(tree) > MAX_VALUES) {
      const message = `the file has more than ${MAX_VALUES.toLocaleString('en')} values once its aliases are resolved`;
      return giveUp(this.#source, message);
    }
    const broken = document.errors.length + document.warnings.length > 0;
    const secrets = [
      ...secretPlaces(tree),
      ...secretPlacesOfNodes(this.#source, document.contents),
      ...(broken ? secretPlacesOfText(this.#source) : secretPlacesOfComments(this.#source)),
      ...secretPlacesOfUrls(this.#source),
    ];
    return { source: this.#source, tree, broken, findings: this.#findings, secrets };
  }

  /** `{` opens a mapping inside `[ ]` and `{ }`, so an unquoted `${NAME}` breaks there. */
  #braceHint(offset: number): string | undefined {
    const lineStart = this.#source.text.lastIndexOf('\n', offset - 1) + 1;
    const before = this.#source.text.slice(Math.max(lineStart, offset - LINE_BEFORE), offset + 2);
    return /[[{,:]\s*[^"'\s]*\$\{/.test(before) && /[[{]/.test(before.replaceAll('${', ''))
      ? 'Inside [ ] and { }, a value with ${…} needs quotes: "${NAME}".'
      : undefined;
  }

  #build(node: ParsedNode): Tree {
    if (isAlias(node)) return this.#alias(node.source, node);
    const ready = this.#built.get(node);
    if (ready) return ready;
    this.#built.set(node, undefined);
    if ('anchor' in node && typeof node.anchor === 'string') this.#anchors.set(node.anchor, node);
    const tree = this.#path.length > MAX_DEPTH ? this.#tooDeep(node) : this.#convert(node);
    this.#built.set(node, tree);
    return tree;
  }

  #convert(node: Exclude<ParsedNode, Alias.Parsed>): Tree {
    if (isMap(node)) return this.#map(node);
    if (isScalar(node)) return this.#scalar(node.value, node);
    const items = node.items.map((item, index) => this.#inside(index, () => this.#build(item)));
    return { kind: 'list', place: this.#place(node), items };
  }

  #scalar(read: unknown, node: ParsedNode): ScalarTree {
    // YAML reads an address as a number and loses most of its digits.
    const value = isScalar(node) && ADDRESS.test(node.source ?? '') ? node.source : read;
    const plain =
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
    return { kind: 'scalar', place: this.#place(node), value: plain, interpolated: false };
  }

  #map(node: YAMLMap.Parsed): MapTree {
    const entries = new Map<string, Entry>();
    const inherited: Tree[] = [];
    for (const pair of node.items) {
      const keyPlace = this.#place(pair.key);
      if (isMergeKey(pair.key)) {
        if (pair.value) inherited.push(...this.#mergeSources(this.#build(pair.value), keyPlace));
        continue;
      }
      const key = this.#key(pair.key, keyPlace);
      if (key === undefined) continue;
      const value = this.#inside(key, () =>
        pair.value ? this.#build(pair.value) : this.#nothing(keyPlace.end),
      );
      const first = entries.get(key);
      if (first) this.#duplicate(key, keyPlace, first.keyPlace);
      else entries.set(key, { keyPlace, value });
    }
    // The mapping's own keys override merged ones, and earlier sources override later ones.
    for (const source of inherited) {
      if (source.kind !== 'map') continue;
      for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
    }
    return { kind: 'map', place: this.#place(node), entries };
  }

  #key(node: ParsedNode, place: Place): string | undefined {
    if (!isScalar(node)) {
      this.#report(place, 'a key must be plain text');
      return undefined;
    }
    // `1.10:` means the text 1.10, not the number 1.1.
    const key = typeof node.value === 'string' ? node.value : (node.source ?? '');
    if (key === '__proto__') {
      this.#report(place, 'this key is not allowed');
      return undefined;
    }
    return key;
  }

  #mergeSources(tree: Tree, place: Place): readonly Tree[] {
    const sources = tree.kind === 'list' ? tree.items : [tree];
    if (sources.some((source) => source.kind !== 'map')) {
      this.#report(place, '`<<` takes a mapping, or a list of mappings', 'Name an anchor: `<<: *defaults`.');
    }
    return sources;
  }

  #alias(name: string, node: ParsedNode): Tree {
    const target = this.#anchors.get(name);
    const tree = target && this.#built.get(target);
    if (tree) return tree;
    // Does not repeat the name: an unquoted PIN that begins with * parses as an alias.
    if (target) this.#report(this.#place(node), 'this alias refers to a value that contains it');
    else {
      this.#report(
        this.#place(node),
        'this alias has no anchor above it',
        'Text that begins with `*` needs quotes.',
      );
    }
    return this.#scalar(null, node);
  }

  #duplicate(key: string, place: Place, first: Place): void {
    const { line } = this.#source.position(first.start);
    this.#report(
      place,
      `the key ${JSON.stringify(key)} is a duplicate of line ${line}`,
      'Keep one of the two.',
    );
  }

  #tooDeep(node: ParsedNode): Tree {
    this.#report(this.#place(node), `nested more than ${MAX_DEPTH} levels deep`);
    return this.#scalar(null, node);
  }

  #nothing(offset: number): ScalarTree {
    const place = { source: this.#source, start: offset, end: offset };
    return { kind: 'scalar', place, value: null, interpolated: false };
  }

  #place(node: ParsedNode): Place {
    const [start, end] = node.range ?? [0, 0];
    return { source: this.#source, start, end };
  }

  #inside<T>(part: string | number, work: () => T): T {
    this.#path.push(part);
    try {
      return work();
    } finally {
      this.#path.pop();
    }
  }

  #report(place: Place, message: string, hint?: string): void {
    this.#findings.push(syntax(place.source, place.start, place.end, [...this.#path], message, hint));
  }

  /** The number of values in a tree, with every use of an alias counted. */
  #size(tree: Tree): number {
    const known = this.#sizes.get(tree);
    if (known !== undefined) return known;
    let size = 1;
    if (tree.kind === 'map') for (const entry of tree.entries.values()) size += this.#size(entry.value);
    if (tree.kind === 'list') for (const item of tree.items) size += this.#size(item);
    this.#sizes.set(tree, size);
    return size;
  }
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.type === 'PLAIN' && key.value === '<<';
}
