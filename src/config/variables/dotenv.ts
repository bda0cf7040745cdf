import type { Finding } from '../text/finding.js';
import { interpolate, type Lookup, type Unusable } from './interpolate.js';
import type { Place, Source } from '../text/source.js';

/** What a `.env` says. */
export interface Dotenv {
  /** With those of the files that were read before it. */
  readonly values: ReadonlyMap<string, string | Unusable>;
  /** The names that this text sets. */
  readonly names: ReadonlySet<string>;
  /** By name: the variables that the value refers to. */
  readonly references: ReadonlyMap<string, ReadonlySet<string>>;
  /** Malformed lines. They make the meaning of later lines uncertain. */
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** Values, comments and malformed lines, which a code frame must not show. */
  readonly secrets: readonly Place[];
}

/**
 * Reads a `.env` as docker compose v2 does. docs/reference/config.md lists the differences. Continues after `earlier`, as if
 * both were one file.
 */
export function parseDotenv(source: Source, lookup: Lookup, earlier?: Dotenv): Dotenv {
  return new Reader(source, lookup, earlier).read();
}

/** White space within a line, as compose defines it. */
const SPACE = '[\\t\\v\\f\\r \\u0085\\u00a0]';
const EXPORT = new RegExp(`export${SPACE}+`, 'y');
const SPACES = new RegExp(`${SPACE}*`, 'y');
const COMMENT = new RegExp(`${SPACE}#`);
const NOT_IN_NAMES = /[^\p{L}\p{N}_.\-[\]]/u;
const ESCAPE = /\\(?:["\\abfnrtv$]|0[0-3][0-7]{2})/g;
const ESCAPED: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  // Interpolation runs after the escapes.
  $: '$$',
};

/** Values can refer to each other in long chains, and each one stores everything that it refers to. */
const MAX_REFERENCES = 100;

/** A file that is not a `.env` has a mistake in every line. */
const MAX_REPORTED = 20;

class Reader {
  readonly #source: Source;
  readonly #text: string;
  readonly #lookup: Lookup;
  readonly #values: Map<string, string | Unusable>;
  readonly #names = new Set<string>();
  readonly #references: Map<string, ReadonlySet<string>>;
  readonly #findings: Finding[] = [];
  readonly #warnings: Finding[] = [];
  readonly #secrets: Place[] = [];
  #at = 0;

  constructor(source: Source, lookup: Lookup, earlier?: Dotenv) {
    this.#source = source;
    this.#text = source.text;
    this.#values = new Map(earlier?.values);
    this.#references = new Map(earlier?.references);
    this.#lookup = (name) => lookup(name) ?? this.#values.get(name);
  }

  read(): Dotenv {
    for (; this.#at < this.#text.length; this.#at = this.#lineEnd(this.#at) + 1) this.#line();
    return {
      values: this.#values,
      names: this.#names,
      references: this.#references,
      findings: firstFew(this.#findings, 'malformed lines follow'),
      warnings: firstFew(this.#warnings, 'names without a value follow'),
      secrets: this.#secrets,
    };
  }

  /** Parses one statement. Afterwards #at is on its last line. */
  #line(): void {
    const start = this.#skip(SPACES, this.#at);
    const end = this.#lineEnd(start);
    if (start === end) return;
    if (this.#text[start] === '#') return this.#hide(start + 1, end);
    const nameAt = this.#skip(EXPORT, start);
    const separator = this.#text.slice(nameAt, end).search(/[=:]/);
    const nameEnd = separator === -1 ? end : nameAt + separator;
    const name = this.#text.slice(nameAt, nameEnd).trimEnd();
    const wrong = wrongName(name);
    if (wrong) return this.#malformed(nameAt + wrong.index, wrong.message, start);
    if (separator === -1) return this.#inherit(name, nameAt);
    this.#assign(name, nameEnd + 1);
  }

  /** `NAME` without a value means the environment's own value. */
  #inherit(name: string, at: number): void {
    const value = this.#lookup(name);
    if (value !== undefined) {
      this.#put(name, value);
      return;
    }
    const end = at + name.length;
    this.#hide(at, end);
    this.#warnings.push({
      place: { source: this.#source, start: at, end },
      path: [],
      code: 'config_invalid',
      message: 'this name has no value here, and the environment does not set it',
      hint: 'Write NAME=value. Put quotes around a value that spans lines.',
    });
  }

  #assign(name: string, after: number): void {
    const start = this.#skip(SPACES, after);
    const quote = this.#text[start];
    if (quote === '"' || quote === "'") return this.#quoted(name, start, quote);
    const end = this.#lineEnd(start);
    const raw = this.#text.slice(start, end);
    const comment = start > after && quote === '#' ? 0 : raw.search(COMMENT);
    this.#hide(start, end);
    this.#set(name, (comment === -1 ? raw : raw.slice(0, comment)).trimEnd(), start);
  }

  #quoted(name: string, start: number, quote: '"' | "'"): void {
    const end = this.#closing(start + 1, quote);
    if (end === undefined) {
      this.#hide(start, this.#text.length);
      this.#report(start, 'the quote is not closed', `Close it with ${quote}.`);
      this.#at = this.#text.length;
      return;
    }
    this.#at = end;
    const lineEnd = this.#lineEnd(end);
    this.#hide(start, lineEnd);
    const rest = this.#skip(SPACES, end + 1);
    if (rest < lineEnd && this.#text[rest] !== '#') {
      const hint = 'Put what follows on a line of its own, or into the quotes; a quote in a value is \\".';
      return this.#report(rest, 'text follows the closing quote', hint);
    }
    const inner = this.#text.slice(start + 1, end);
    if (quote === "'") this.#put(name, inner.replaceAll("\\'", "'"));
    else this.#set(name, inner.replaceAll(ESCAPE, unescape), start);
  }

  /** Where the quote that was opened before `from` closes. */
  #closing(from: number, quote: string): number | undefined {
    for (let at = from; at < this.#text.length; at += 1) {
      if (this.#text[at] === '\\') at += 1;
      else if (this.#text[at] === quote) return at;
    }
    return undefined;
  }

  #set(name: string, value: string, at: number): void {
    const { text, errors, names } = interpolate(value, this.#lookup, 'compose');
    const references = this.#allReferences(name, names);
    if (references.size > MAX_REFERENCES) {
      // The value is unused, so its references do not matter.
      this.#references.delete(name);
      const { line } = this.#source.position(at);
      const problem = `${this.#source.file}:${line}: ${name} refers to more than ${MAX_REFERENCES} variables`;
      this.#put(name, { problem, hint: 'Shorten the chain of variables that refer to each other.' });
      return;
    }
    if (references.size > 0) this.#references.set(name, references);
    const [error] = errors;
    if (!error) {
      this.#put(name, text);
      return;
    }
    const { line } = this.#source.position(at);
    // A value that refers to an unusable value reports the line of the original mistake.
    const problem = error.inherited ? error.message : `${this.#source.file}:${line}: ${error.message}`;
    this.#put(name, { problem, hint: error.hint });
  }

  #put(name: string, value: string | Unusable): void {
    this.#names.add(name);
    this.#values.set(name, value);
  }

  /** A name that is set twice refers to everything that either value refers to. */
  #allReferences(name: string, names: readonly string[]): Set<string> {
    const all = new Set(this.#references.get(name));
    for (const each of names) {
      for (const one of [each, ...(this.#references.get(each) ?? [])]) all.add(one);
      if (all.size > MAX_REFERENCES) break;
    }
    return all;
  }

  /** The line may be the second line of a secret, so the message shows none of it. */
  #malformed(at: number, message: string, lineStart: number): void {
    this.#hide(lineStart, this.#lineEnd(lineStart));
    this.#report(at, message, 'Write NAME=value. Put quotes around a value that spans lines.');
  }

  #report(at: number, message: string, hint: string): void {
    const place = { source: this.#source, start: at, end: Math.min(at + 1, this.#text.length) };
    this.#findings.push({ place, path: [], code: 'config_invalid', message, hint });
  }

  #hide(start: number, end: number): void {
    if (end > start) this.#secrets.push({ source: this.#source, start, end });
  }

  #skip(pattern: RegExp, at: number): number {
    pattern.lastIndex = at;
    return at + (pattern.exec(this.#text)?.[0].length ?? 0);
  }

  #lineEnd(at: number): number {
    const end = this.#text.indexOf('\n', at);
    return end === -1 ? this.#text.length : end;
  }
}

/** The first few findings, and the number of the others. */
function firstFew(findings: readonly Finding[], others: string): Finding[] {
  const next = findings[MAX_REPORTED];
  if (!next) return [...findings];
  const more = findings.length - MAX_REPORTED;
  return [...findings.slice(0, MAX_REPORTED), { ...next, message: `${more} ${others}, this is the first` }];
}

function wrongName(name: string): { index: number; message: string } | undefined {
  if (name === '') return { index: 0, message: 'the name before `=` is missing' };
  const index = name.search(NOT_IN_NAMES);
  if (index === -1) return undefined;
  return {
    index,
    message: /\s/.test(name[index]!)
      ? 'a name cannot contain a space'
      : 'a name has letters, digits, `_`, `.`, `-`, `[` and `]` only',
  };
}

function unescape(escape: string): string {
  const kind = escape[1]!;
  if (kind === '0') return String.fromCharCode(Number.parseInt(escape.slice(2), 8));
  return ESCAPED[kind] ?? kind;
}
