import { constants, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemCode } from '../../../lib/errors.js';
import { makePrivateFolder } from '../../../lib/private-file.js';
import { FRAME_HEAD_BYTES, FileSeal, HEAD_BYTES, KIND, readFrameHead } from './seal.js';

/** The files of one identity's history: lists, opens and removes them. */

const NAME = /^(\d{6})-(\d{3,6})\.requests$/;
/** Folder for unreadable files. */
const ASIDE = 'unreadable';
/** A younger file may have just been created by another process. */
const BEGUN_MS = 10_000;
const MAX_INFO_BYTES = 16 * 1024;

/** Metadata that applies to everything in a file. */
export interface FileInfo {
  /** Path of the portal.yaml that was recorded; null without one. */
  readonly source: string | null;
  /** Creation time in milliseconds since the epoch. */
  readonly startedAt: number;
  /** Time of the last write. */
  readonly endsAt: number;
  readonly maxAgeMs: number;
}

export interface HistoryFile {
  readonly name: string;
  readonly path: string;
  readonly run: number;
  readonly bytes: number;
  readonly info: FileInfo;
  readonly seal: FileSeal;
  /** Offset of the first frame after the info frame. */
  readonly begin: number;
}

export const fileName = (run: number, part: number): string =>
  `${String(run).padStart(6, '0')}-${String(part).padStart(3, '0')}.requests`;

/** The constant metadata of a file by path, so that it is read only once. */
type Known = Map<string, Omit<HistoryFile, 'bytes'>>;

/** Readable files, latest first, and the names of unreadable ones. */
export interface Listed {
  readonly files: readonly HistoryFile[];
  readonly unreadable: readonly string[];
}

export class HistoryFolder {
  readonly path: string;
  readonly #master: Buffer;
  readonly #known: Known = new Map();

  constructor(path: string, master: Buffer) {
    this.path = path;
    this.#master = master;
  }

  get master(): Buffer {
    return this.#master;
  }

  /** The highest run number of any file, of any identity. */
  async lastRun(): Promise<number> {
    const names = await this.#names();
    return Math.max(0, ...names.map((name) => Number(NAME.exec(name)![1])));
  }

  async list(): Promise<Listed> {
    const names = await this.#names();
    const files: HistoryFile[] = [];
    const unreadable: string[] = [];
    for (const name of names) {
      const file = await this.#inspect(name);
      if (file === 'unreadable') unreadable.push(name);
      else if (file) files.push(file);
    }
    for (const path of this.#known.keys()) if (!names.includes(basename(path))) this.#known.delete(path);
    return { files: files.toSorted(latestFirst), unreadable };
  }

  /** Removes a file permanently. Overwriting the salt makes the rest of the file undecryptable, wherever copies remain. */
  async remove(name: string): Promise<void> {
    const path = join(this.path, name);
    const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch(() => undefined);
    try {
      await handle?.write(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      await handle?.sync();
    } catch {
      // A disk that rejects writes may still allow the removal.
    } finally {
      await handle?.close().catch(() => undefined);
    }
    await rm(path, { force: true, recursive: true });
  }

  async removeAll(except: ReadonlySet<string> = new Set()): Promise<void> {
    for (const name of await this.#names()) if (!except.has(name)) await this.remove(name);
    await rm(join(this.path, ASIDE), { force: true, recursive: true });
  }

  /** Moves files aside and keeps them, because they may belong to someone. Replaces earlier ones. */
  async setAside(names: readonly string[], warn: Warn): Promise<void> {
    if (names.length === 0) return;
    const aside = join(this.path, ASIDE);
    try {
      await rm(aside, { force: true, recursive: true });
      await makePrivateFolder(aside);
      for (const name of names) await rename(join(this.path, name), join(aside, name)).catch(() => undefined);
    } catch (error) {
      const why = systemCode(error) ?? String(error);
      return warn(
        `unreadable files of the request history stay in ${this.path}: they cannot be moved (${why})`,
      );
    }
    warn(
      `part of the request history is damaged or belongs to another identity; moved it to ${aside}. To remove it, run portal requests wipe`,
    );
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.path).catch((error: unknown) => {
      const code = systemCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return [];
      throw error;
    });
    return names.filter((name) => NAME.test(name)).toSorted();
  }

  /** Undefined if the file was removed, or was created just now. */
  async #inspect(name: string): Promise<HistoryFile | 'unreadable' | undefined> {
    const path = join(this.path, name);
    const found = await stat(path).catch(() => undefined);
    if (!found) return undefined;
    const known = this.#known.get(path);
    if (known) return { ...known, bytes: found.size };
    const read = found.isFile() ? await this.#read(path, name) : 'unreadable';
    if (read === undefined || read === 'removed') return undefined;
    if (read === 'unreadable')
      return Date.now() - found.mtimeMs < BEGUN_MS && found.size < HEAD_BYTES ? undefined : read;
    this.#known.set(path, read);
    return { ...read, bytes: found.size };
  }

  async #read(
    path: string,
    name: string,
  ): Promise<Omit<HistoryFile, 'bytes'> | 'unreadable' | 'removed' | undefined> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (error) {
      return systemCode(error) === 'ENOENT' ? undefined : 'unreadable';
    }
    try {
      const head = await readAt(handle, 0, HEAD_BYTES + FRAME_HEAD_BYTES);
      // Another process is removing it.
      if (head.length >= HEAD_BYTES && head.subarray(0, HEAD_BYTES).every((byte) => byte === 0))
        return 'removed';
      const seal = FileSeal.of(this.#master, name, head);
      const frameHead = head.subarray(HEAD_BYTES);
      const frame = readFrameHead(frameHead);
      if (!seal || frame?.kind !== KIND.info || frame.sealedBytes > MAX_INFO_BYTES) return 'unreadable';
      const at = HEAD_BYTES + FRAME_HEAD_BYTES;
      const content = seal.open(HEAD_BYTES, frameHead, await readAt(handle, at, frame.sealedBytes));
      if (!content) return 'unreadable';
      const info = JSON.parse(content.toString()) as FileInfo;
      return { name, path, run: Number(NAME.exec(name)![1]), info, seal, begin: at + frame.sealedBytes };
    } catch {
      return 'unreadable';
    } finally {
      await handle.close();
    }
  }
}

const latestFirst = (a: HistoryFile, b: HistoryFile): number =>
  b.info.startedAt - a.info.startedAt || (a.name < b.name ? 1 : -1);

/** Tells the user. */
type Warn = (message: string) => void;

/** Removes files of every identity, including abandoned ones and files moved aside, that were not written to since then. */
export async function removeUntouched(histories: string, since: number): Promise<void> {
  const entries = await readdir(histories, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile() || !NAME.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const found = await stat(path).catch(() => undefined);
    if (found && found.mtimeMs < since) await rm(path, { force: true });
  }
}

/** Moves a file aside if it has the folder's name. */
export async function freePath(folder: string, warn: Warn): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (!found || found.isDirectory()) return;
  const aside = join(dirname(folder), `${basename(folder)}.${ASIDE}`);
  await rm(aside, { force: true, recursive: true });
  await rename(folder, aside);
  warn(`${folder}, the folder of the request history, was a file; moved it to ${aside}`);
}

export async function readAt(handle: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  let length = 0;
  while (length < bytes) {
    const { bytesRead } = await handle.read(buffer, length, bytes - length, at + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}
