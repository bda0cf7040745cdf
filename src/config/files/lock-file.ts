import { isMap, isScalar, LineCounter, Scalar, YAMLMap, type Document, type Pair } from 'yaml';
import { PortalError } from '../../lib/errors.js';
import { originOf } from '../checks/relay-refs.js';
import { readYaml, YamlTooLarge } from '../text/yaml.js';

/** Reads portal.lock with the place of every entry, and adds entries without changing the rest. */

export interface LockEntry {
  /** Address of the relay's key, as written in the file. */
  readonly address: string;
  /** 1-based. */
  readonly line: number;
}

/** By the relay's origin. */
export type LockEntries = ReadonlyMap<string, LockEntry>;

/** A mistake in the file, with its place. */
export class LockInvalid extends PortalError {
  /** 1-based. */
  readonly line: number;

  constructor(message: string, line: number, hint: string) {
    super('lock_invalid', message, { hint });
    this.line = line;
  }
}

const VERSION = '1';
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
const ABOUT = ` The relays that the portal.yaml in this folder trusts, each with the address of its key. Portal adds a relay at the
 first connection, and later rejects it if its key differs. Commit this file, so that your team trusts the same relays.`;
const RESTORE = 'Restore it from version control, or fix the line.';

/** Every entry. `file` is for messages. Throws `LockInvalid`. */
export function readLock(text: string, file: string): LockEntries {
  return read(text, file).entries;
}

/** Adds a relay in alphabetical order. Comments stay. */
export function withRelay(text: string | undefined, file: string, origin: string, address: string): string {
  const { document, relays } = read(text ?? '', file);
  const value = new Scalar(address);
  // Without quotes, the next reader would parse it as a number.
  value.type = Scalar.QUOTE_DOUBLE;
  const pair = document.createPair(new Scalar(origin), value) as Pair<Scalar, Scalar>;
  const after = relays.items.findIndex(({ key }) => String((key as Scalar).value) > origin);
  if (after === 0 && relays.commentBefore !== undefined) {
    // The comment before the first entry belongs to that entry, but the library assigns it to the mapping.
    (relays.items[0]!.key as Scalar).commentBefore = relays.commentBefore;
    relays.commentBefore = null;
  }
  relays.items.splice(after < 0 ? relays.items.length : after, 0, pair);
  // It may have been written as `{}`.
  relays.flow = false;
  return document.toString({ lineWidth: 0 });
}

function readDocument(text: string, file: string, lineCounter: LineCounter): Document {
  try {
    return readYaml(text, { schema: 'failsafe', prettyErrors: false, uniqueKeys: false, lineCounter });
  } catch (error) {
    if (!(error instanceof YamlTooLarge)) throw error;
    const { line } = lineCounter.linePos(error.offset);
    throw new LockInvalid(`${file}, line ${line}: ${error.message}`, line, RESTORE);
  }
}

interface Read {
  readonly document: Document;
  readonly relays: YAMLMap;
  readonly entries: LockEntries;
}

function read(text: string, file: string): Read {
  const conflict = /^(<{7}|={7}|>{7})(\s|$)/m.exec(text);
  if (conflict) {
    const line = text.slice(0, conflict.index).split('\n').length;
    throw new LockInvalid(
      `${file}, line ${line}: a merge left a conflict here`,
      line,
      'Keep the relays of both sides, without duplicates, and remove the conflict markers.',
    );
  }
  const lines = new LineCounter();
  // In the failsafe schema every value is text: an address is never a number, quoted or not.
  const document = readDocument(text, file, lines);
  const lineOf = (node: unknown): number => {
    const range = (node as { range?: [number, number, number] | null } | null | undefined)?.range;
    return lines.linePos(range?.[0] ?? 0).line;
  };
  const invalid = (at: number, message: string, hint = RESTORE): LockInvalid =>
    new LockInvalid(`${file}, line ${at}: ${message}`, at, hint);

  const [error] = [...document.errors, ...document.warnings];
  if (error) throw invalid(lines.linePos(error.pos[0]).line, 'this is not YAML');
  if (document.contents === null) {
    document.contents = document.createNode({ version: VERSION, relays: new YAMLMap() }) as never;
    document.commentBefore ??= ABOUT;
  }
  const root: unknown = document.contents;
  if (!isMap(root)) throw invalid(1, 'this is not a portal.lock file');
  const version = root.get('version');
  if (version !== VERSION) {
    const isNewer = typeof version === 'string' && /^\d+$/.test(version) && Number(version) > 1;
    if (isNewer)
      throw invalid(
        1,
        `the file has version ${version}, and this Portal supports version ${VERSION}`,
        'Update Portal.',
      );
    throw invalid(1, `\`version: ${VERSION}\` is missing`);
  }
  for (const { key } of root.items)
    if (!isScalar(key) || (key.value !== 'version' && key.value !== 'relays'))
      throw invalid(lineOf(key), 'unknown key', 'Remove it, or update Portal.');
  if (new Set(root.items.map(({ key }) => String(key))).size < root.items.length)
    throw invalid(lineOf(root.items.at(-1)?.key), 'duplicate key');
  const listed: unknown = root.get('relays', true) ?? undefined;
  // `relays:` without a value.
  const isEmpty = listed === undefined || (isScalar(listed) && !listed.value);
  if (!isEmpty && !isMap(listed)) throw invalid(lineOf(listed), '`relays` must be a mapping');
  const relays = isEmpty ? new YAMLMap() : (listed as YAMLMap);
  if (isEmpty) root.set('relays', relays);
  return { document, relays, entries: entriesOf(relays, lineOf, invalid) };
}

function entriesOf(
  relays: YAMLMap,
  lineOf: (node: unknown) => number,
  invalid: (line: number, message: string, hint?: string) => LockInvalid,
): LockEntries {
  const entries = new Map<string, LockEntry>();
  for (const { key, value } of relays.items) {
    const line = lineOf(key);
    const origin = isScalar(key) ? originOf(String(key.value)) : undefined;
    if (origin === undefined || !origin.startsWith('https://'))
      throw invalid(line, 'the key must be the URL of a relay');
    const address = isScalar(value) ? String(value.value) : '';
    if (!ADDRESS.test(address)) throw invalid(line, `${origin} needs an address: 0x and 40 hex digits`);
    const first = entries.get(origin);
    if (first && !sameAddress(first.address, address))
      throw invalid(
        line,
        `${origin} is already on line ${first.line}, with another key`,
        'Find out which one is right, and remove the other.',
      );
    if (!first) entries.set(origin, { address, line });
  }
  return entries;
}

/** The capitals of an address are only a checksum. */
export function sameAddress(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
