import { createHash, randomBytes } from 'node:crypto';
import { constants, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Identity } from '../../identity/identity.js';
import { isMissing } from '../../lib/errors.js';
import { PRIVATE_MODE, replaceFile } from '../../lib/private-file.js';
import { FileSeal, FRAME_HEAD_BYTES, HEAD_BYTES, KIND, readFrameHead } from '../inspect/history/seal.js';
import type { RequestHead, RequestOrigin } from '../modes/http/exchange/exchange.js';
import { MAX_HOLD_MS } from '../spec.js';

/** A held request, without its body. */
export interface HeldRequest extends RequestHead, RequestOrigin {
  /** Unique among all requests of the identity on this machine. Increases with the order of the requests. */
  readonly id: string;
  readonly service: string;
  /** The route's prefix, as in the file: `/` in a service without routes. */
  readonly route: string;
  /** Milliseconds since the epoch. */
  readonly heldAt: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
  /** The fields in which gates named the visitor to the target. */
  readonly identity?: readonly string[];
  /** The inspector's id of the request. Absent if it was not recorded. */
  readonly recordedAs?: number;
  readonly bodyBytes: number;
}

/** What is stored of a request: its id is the name of its file. */
type Stored = Omit<HeldRequest, 'id'> & { readonly source: string };

const NAME = /^(\d{13,15}-[0-9a-f]{8})\.held$/;
/** What a killed process leaves of a file that it was writing. */
const TEMPORARY = /\.held\.[0-9a-f]+\.tmp$/;
const DAMAGED = /\.held\.damaged$/;
const isOurs = (name: string): boolean => [NAME, TEMPORARY, DAMAGED].some((each) => each.test(name));

/** Disk space of a request that counts toward the limits. */
export const sizeOf = ({ headers, target, bodyBytes }: Omit<HeldRequest, 'id'>): number =>
  bodyBytes + target.length + headers.reduce((sum, each) => sum + each.length, 0);

/**
 * The files of the held requests of one portal.yaml: a folder with a file for each, encrypted like the request history with a key
 * that derives from the identity. One process owns the folder: the agent of that portal.yaml.
 */
export class HeldStore {
  readonly folder: string;
  readonly #master: Buffer;
  readonly #source: string;
  #last = 0;

  /**
   * @param root folder of all identities (lib/paths)
   * @param source path of portal.yaml
   */
  constructor(root: string, identity: Identity, source: string) {
    this.folder = join(
      folderOf(root, identity),
      createHash('sha256').update(source).digest('hex').slice(0, 16),
    );
    this.#master = masterOf(identity);
    this.#source = source;
  }

  /**
   * All requests in order, and how many files are damaged: those get another name, so that they count only once. Removes what a
   * killed process left half-written or half-removed.
   */
  async list(): Promise<{ held: HeldRequest[]; damaged: number }> {
    const held: HeldRequest[] = [];
    let damaged = 0;
    for (const name of await namesIn(this.folder)) {
      if (TEMPORARY.test(name)) await rm(join(this.folder, name), { force: true });
      const [, id] = NAME.exec(name) ?? [];
      if (id === undefined) continue;
      const read = await readHeld(this.folder, name, this.#master);
      if (read === 'removed') await rm(join(this.folder, name), { force: true });
      else if (read) held.push(read.request);
      else {
        damaged++;
        await rename(join(this.folder, name), join(this.folder, `${name}.damaged`)).catch(() => undefined);
      }
      this.#last = Math.max(this.#last, Number(id.slice(0, id.indexOf('-'))));
    }
    return { held, damaged };
  }

  /** The id of the next request. Ids increase, even when the clock is set back. */
  nextId(now: number): string {
    this.#last = Math.max(this.#last + 1, now);
    return `${this.#last}-${randomBytes(4).toString('hex')}`;
  }

  /** Resolves once the request is on disk. Throws `state_unwritable`. */
  async write({ id, ...request }: HeldRequest, body: Buffer): Promise<void> {
    const name = nameOf(id);
    const seal = FileSeal.fresh(this.#master, name);
    const stored: Stored = { ...request, source: this.#source };
    const head = seal.head();
    const info = seal.frame(head.length, KIND.info, Buffer.from(JSON.stringify(stored)));
    const part = seal.frame(head.length + info.length, KIND.parts, body);
    await replaceFile(join(this.folder, name), Buffer.concat([head, info, part]), PRIVATE_MODE);
    await syncFolder(this.folder);
  }

  /** Undefined if the file is damaged, or was removed. */
  async body(id: string): Promise<Buffer | undefined> {
    const read = await readHeld(this.folder, nameOf(id), this.#master);
    return read === 'removed' ? undefined : read?.body;
  }

  /** Removes the request permanently. Overwriting the salt makes the rest of the file undecryptable, wherever copies remain. */
  remove(id: string): Promise<void> {
    return removeFile(this.folder, nameOf(id));
  }
}

/** Held requests of every portal.yaml of an identity, for a command. */
export async function allHeld(
  root: string,
  identity: Identity,
): Promise<{ held: (HeldRequest & { readonly source: string })[]; damaged: number }> {
  const folder = folderOf(root, identity);
  const master = masterOf(identity);
  const held: (HeldRequest & { source: string })[] = [];
  let damaged = 0;
  for (const of of await namesIn(folder))
    for (const name of (await namesIn(join(folder, of))).filter((each) => NAME.test(each))) {
      const read = await readHeld(join(folder, of), name, master);
      if (read === undefined) damaged++;
      else if (read !== 'removed') held.push({ ...read.request, source: read.source });
    }
  return { held: held.toSorted((a, b) => (a.id < b.id ? -1 : 1)), damaged };
}

/**
 * Removes the requests of every portal.yaml of an identity that are held since `until` or longer, in milliseconds since the epoch.
 * Returns how many there were.
 */
export async function removeHeld(root: string, identity: Identity, until: number): Promise<number> {
  const folder = folderOf(root, identity);
  let count = 0;
  for (const of of await namesIn(folder))
    for (const name of await namesIn(join(folder, of))) {
      if (!isOurs(name) || Number.parseInt(name, 10) > until) continue;
      if (NAME.test(name)) count++;
      await removeFile(join(folder, of), name);
    }
  return count;
}

/** Removes requests of any identity that nobody can deliver any more, because each has expired. */
export async function removeAbandoned(root: string, now: number): Promise<void> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile() || !isOurs(entry.name)) continue;
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => undefined);
    if (found && found.mtimeMs < now - 2 * MAX_HOLD_MS) await removeFile(entry.parentPath, entry.name);
  }
}

const nameOf = (id: string): string => `${id}.held`;
const folderOf = (root: string, identity: Identity): string => join(root, identity.address.toLowerCase());
const masterOf = (identity: Identity): Buffer => identity.derive('held requests');

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  return names.toSorted((a, b) => (a < b ? -1 : 1));
}

interface Read {
  readonly request: HeldRequest;
  readonly source: string;
  readonly body: Buffer;
}

/** Undefined if the file is damaged, belongs to another key, or is missing. `removed`: a killed process was removing it. */
async function readHeld(folder: string, name: string, master: Buffer): Promise<Read | 'removed' | undefined> {
  try {
    const bytes = await readFile(join(folder, name));
    if (bytes.length >= HEAD_BYTES && bytes.subarray(0, HEAD_BYTES).every((byte) => byte === 0))
      return 'removed';
    const seal = FileSeal.of(master, name, bytes.subarray(0, HEAD_BYTES));
    const info = seal && frameAt(bytes, HEAD_BYTES, KIND.info, seal);
    const part = seal && info && frameAt(bytes, info.end, KIND.parts, seal);
    if (!info || part?.end !== bytes.length) return undefined;
    const { source, ...request } = JSON.parse(info.content.toString()) as Stored;
    return { request: { ...request, id: NAME.exec(name)![1]! }, source, body: part.content };
  } catch {
    return undefined;
  }
}

function frameAt(
  bytes: Buffer,
  at: number,
  kind: number,
  seal: FileSeal,
): { content: Buffer; end: number } | undefined {
  const from = at + FRAME_HEAD_BYTES;
  const clear = bytes.subarray(at, from);
  const head = readFrameHead(clear);
  if (head?.kind !== kind) return undefined;
  const end = from + head.sealedBytes;
  const content = seal.open(at, clear, bytes.subarray(from, end));
  return content && { content, end };
}

async function removeFile(folder: string, name: string): Promise<void> {
  const path = join(folder, name);
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch(() => undefined);
  try {
    await handle?.write(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  } catch {
    // A disk that rejects writes may still allow the removal.
  } finally {
    await handle?.close().catch(() => undefined);
  }
  await rm(path, { force: true, recursive: true });
}

/** The name of a new file is on disk only with its folder. Not every system can do this, and a killed process needs no sync. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
