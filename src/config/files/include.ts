import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { PortalError, systemCode } from '../../lib/errors.js';
import { shown } from '../words/explain.js';
import { finding, HOME_NOT_EXPANDED, type Complaint, type Finding } from '../text/finding.js';
import { expand, isPattern } from './glob.js';
import type { ReadFile } from './input-files.js';
import { parse, type Parsed } from '../text/parse.js';
import type { Files } from './read-text.js';
import { Source } from '../text/source.js';
import { oneOrMore, treeAt, type Path, type Tree } from '../text/tree.js';

/** `include`: files with more services. include-merge.ts puts them into the configuration. */

export const KEY = 'include';

/** Of one configuration. */
const MAX_FILES = 100;
const MAX_BYTES = 4 * 1024 * 1024;
/** As in the schema, which checks the list only later. */
const MAX_ENTRIES = 32;

export interface Included {
  readonly parsed: readonly Parsed[];
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** Absolute paths of files, existing or not; folders, whose names matter, end with a separator. */
  readonly inputs: readonly string[];
  readonly read: readonly ReadFile[];
}

export interface IncludeOptions {
  /** Absolute folder of the configuration. */
  readonly directory: string;
  /** The configuration, for display. */
  readonly shown: string;
  /** Absolute paths of the configuration and its overlay, which no pattern matches. */
  readonly own: readonly string[];
  readonly files: Files;
}

/**
 * Reads and parses the files of `include`, whose variables are replaced in `root`. Returns mistakes as findings. Throws
 * PortalError `config_untrusted`.
 */
export async function readIncluded(root: Tree, options: IncludeOptions): Promise<Included> {
  const reader = new Reader(root, options);
  for (const [text, path] of pathsOf(root)) await reader.entry(text, path);
  return reader.result;
}

/** What has the shape of a path. The schema reports the rest. */
function pathsOf(root: Tree): (readonly [text: string, path: Path])[] {
  return oneOrMore(root, KEY, MAX_ENTRIES).flatMap(([item, path]) =>
    item.kind === 'scalar' && typeof item.value === 'string' && item.value !== ''
      ? [[item.value, path] as const]
      : [],
  );
}

class Reader {
  readonly #root: Tree;
  readonly #options: IncludeOptions;
  readonly #parsed: Parsed[] = [];
  readonly #findings: Finding[] = [];
  readonly #warnings: Finding[] = [];
  readonly #inputs = new Set<string>();
  readonly #read = new Map<string, ReadFile>();
  #bytes = 0;
  #isFull = false;

  constructor(root: Tree, options: IncludeOptions) {
    this.#root = root;
    this.#options = options;
  }

  get result(): Included {
    const [read, inputs] = [[...this.#read.values()], [...this.#inputs]];
    return { parsed: this.#parsed, findings: this.#findings, warnings: this.#warnings, inputs, read };
  }

  async entry(text: string, path: Path): Promise<void> {
    const problem = unusable(text);
    if (problem) return this.#report(path, problem);
    try {
      if (isPattern(text)) await this.#pattern(text, path);
      else await this.#named(resolve(this.#options.directory, text), path);
    } catch (error) {
      if (error instanceof RangeError) return this.#report(path, { message: error.message });
      if (!(error instanceof PortalError) || error.code === 'config_untrusted') throw error;
      this.#report(path, { code: error.code, message: error.message, hint: error.hint });
    }
  }

  async #named(file: string, path: Path): Promise<void> {
    const { own } = this.#options;
    this.#inputs.add(file);
    if (own.includes(file))
      return this.#report(path, {
        message: 'the configuration cannot include itself',
        hint: 'Remove it. An overlay needs no `include`.',
      });
    if ((await this.#file(file, path)) !== undefined || this.#isFull) return;
    const tree = treeAt(this.#root, path);
    const at = tree?.kind === 'scalar' && tree.interpolated ? 'at ' : '';
    this.#report(path, {
      message: `there is no file ${at}${shown(this.#root, path)}`,
      hint: 'Create it. A pattern such as ./services/*.portal.yaml may match no file.',
    });
  }

  async #pattern(text: string, path: Path): Promise<void> {
    const { directory, files, own } = this.#options;
    const { paths, folders } = await expand(text, directory, files.list);
    for (const folder of folders) this.#inputs.add(folder.endsWith(sep) ? folder : folder + sep);
    let found = 0;
    for (const file of paths) {
      if (own.includes(file)) continue;
      this.#inputs.add(file);
      if ((await this.#file(file, path, true)) !== undefined) found += 1;
    }
    if (found > 0 || this.#isFull) return;
    const message = `no file matches ${shown(this.#root, path)}`;
    this.#warnings.push(finding(this.#root, path, { message, hint: 'Check the pattern.' }));
  }

  /** Reads a file once. Undefined if it does not exist, or if the limit is reached. */
  async #file(file: string, path: Path, orFolder = false): Promise<ReadFile | undefined> {
    const known = this.#read.get(file);
    if (known || this.#isFull) return known;
    const name = shownFrom(this.#options, file);
    const text = await this.#options.files.read(file, name).catch((error: unknown) => {
      // A pattern may match a folder.
      const isFolder = error instanceof PortalError && systemCode(error.cause) === 'EISDIR';
      if (orFolder && isFolder) return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    this.#bytes += text.length;
    if (this.#read.size === MAX_FILES || this.#bytes > MAX_BYTES) {
      this.#isFull = true;
      const limit = `${MAX_FILES} files and ${MAX_BYTES / 1024 / 1024} MiB`;
      this.#report(path, { message: `the included files exceed ${limit}`, hint: 'Include fewer files.' });
      return undefined;
    }
    const read = { file, of: KEY, path };
    this.#read.set(file, read);
    this.#parsed.push(parse(new Source(name, text, dirname(file))));
    return read;
  }

  #report(path: Path, complaint: Complaint): void {
    this.#findings.push(finding(this.#root, path, complaint));
  }
}

function unusable(text: string): Complaint | undefined {
  if (text.startsWith('~')) return HOME_NOT_EXPANDED;
  if (/(^|[/\\])\*\*([/\\]|$)/.test(text))
    return {
      message: '`**` is not supported in `include`',
      hint: 'Write a pattern for each level, for example [./*/*.portal.yaml, ./*/*/*.portal.yaml].',
    };
  if (/^https?:/i.test(text))
    return { message: '`include` takes files, not URLs', hint: 'Download the file, and commit it.' };
  return undefined;
}

/** A file from where the configuration is shown. */
function shownFrom({ directory, shown: config }: IncludeOptions, file: string): string {
  const below = relative(directory, file);
  return isAbsolute(below) ? file : join(dirname(config), below);
}
