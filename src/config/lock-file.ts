import { isMap, isScalar, LineCounter, Scalar, YAMLMap, type Document, type Pair } from 'yaml';
import { PortalError } from '../lib/errors.js';
import { originOf } from './relay-refs.js';
import { readYaml, YamlTooLarge } from './yaml.js';

/** The text of a portal.lock: read with a place for every entry, and added to without touching the rest. */

export interface LockEntry {
  /** Address of the relay's key, as the file spells it. */
  readonly address: string;
  /** 1-based. */
  readonly line: number;
}

/** By the relay's origin. */
export type LockEntries = ReadonlyMap<string, LockEntry>;

/** Something is wrong with the file, at a place. */
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
const ABOUT = ` The relays that the portal.yaml beside this file trusts, each by the address of its key. Portal adds a relay when it
 first meets it, and refuses one that answers with another key. Commit this file: a team then trusts the same relays.`;
const RESTORE = 'Restore it from version control, or fix the line.';

/** Every entry. `file` is for messages. Throws `LockInvalid`. */
export function readLock(text: string, file: string): LockEntries {
  return read(text, file).entries;
}

/** The text with a relay more, in the order of the alphabet; what people wrote beside it stays. */
export function withRelay(text: string | undefined, file: string, origin: string, address: string): string {
  const { document, relays } = read(text ?? '', file);
  const value = new Scalar(address);
  // Without quotes, the next reader would take it for a number.
  value.type = Scalar.QUOTE_DOUBLE;
  const pair = document.createPair(new Scalar(origin), value) as Pair<Scalar, Scalar>;
  const after = relays.items.findIndex(({ key }) => String((key as Scalar).value) > origin);
  if (after === 0 && relays.commentBefore !== undefined) {
    // What stands before the first entry is its comment, though the library gives it to the mapping.
    (relays.items[0]!.key as Scalar).commentBefore = relays.commentBefore;
    relays.commentBefore = null;
  }
  relays.items.splice(after < 0 ? relays.items.length : after, 0, pair);
  // Was it written as `{}`?
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
  if (!isMap(root)) throw invalid(1, 'this is no lock of Portal');
  const version = root.get('version');
  if (version !== VERSION) {
    const isNewer = typeof version === 'string' && /^\d+$/.test(version) && Number(version) > 1;
    if (isNewer)
      throw invalid(1, `it is of version ${version}, and this Portal knows ${VERSION}`, 'Update Portal.');
    throw invalid(1, `\`version: ${VERSION}\` is missing`);
  }
  for (const { key } of root.items)
    if (!isScalar(key) || (key.value !== 'version' && key.value !== 'relays'))
      throw invalid(lineOf(key), 'unknown key', 'Remove it, or update Portal.');
  if (new Set(root.items.map(({ key }) => String(key))).size < root.items.length)
    throw invalid(lineOf(root.items.at(-1)?.key), 'a key is there twice');
  const listed: unknown = root.get('relays', true) ?? undefined;
  // `relays:` with nothing after it.
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
        `${origin} is on line ${first.line} already, with another key`,
        'Find out which one is right, and remove the other.',
      );
    if (!first) entries.set(origin, { address, line });
  }
  return entries;
}

/** Capitals in an address are a checksum, and no part of it. */
export function sameAddress(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
