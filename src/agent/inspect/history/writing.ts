import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../../lib/errors.js';
import { fileName, type FileInfo } from './files.js';
import { MAX_RUN } from './ids.js';
import type { Encoded } from './record.js';
import { FileSeal, KIND } from './seal.js';

/** Small parts share a frame; a large part has its own. */
const PARTS_FRAME_BYTES = 64 * 1024;

/** A request's row as stored: `at` is the frame of its part, and the position in that frame. */
export type StoredRow = Encoded['row'] & {
  readonly at: readonly [frame: number, from: number, bytes: number];
};

/** A file being written. One process appends to it, and never opens it for writing again. */
export class WritingFile {
  readonly name: string;
  readonly info: FileInfo;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #seal: FileSeal;
  #at: number;
  #records = 0;

  private constructor(
    path: string,
    name: string,
    handle: FileHandle,
    seal: FileSeal,
    info: FileInfo,
    at: number,
  ) {
    [this.#path, this.name, this.#handle, this.#seal, this.info, this.#at] = [
      path,
      name,
      handle,
      seal,
      info,
      at,
    ];
  }

  /** Throws `EEXIST` if the file exists. */
  static async create(folder: string, name: string, master: Buffer, info: FileInfo): Promise<WritingFile> {
    const path = join(folder, name);
    const seal = FileSeal.fresh(master, name);
    const handle = await open(path, 'wx', 0o600);
    try {
      const head = seal.head();
      const begin = Buffer.concat([
        head,
        seal.frame(head.length, KIND.info, Buffer.from(JSON.stringify(info))),
      ]);
      await writeAll(handle, begin, 0);
      return new WritingFile(path, name, handle, seal, info, begin.length);
    } catch (error) {
      await handle.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  /** The first file of a new run. Creating it reserves the number of the run. */
  static async ofNewRun(
    folder: string,
    after: number,
    master: Buffer,
    info: FileInfo,
  ): Promise<{ run: number; file: WritingFile }> {
    for (let run = after + 1; run <= MAX_RUN; run++) {
      try {
        return { run, file: await WritingFile.create(folder, fileName(run, 0), master, info) };
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error;
      }
    }
    throw new Error('no run numbers are left; wiping the history resets them');
  }

  get bytes(): number {
    return this.#at;
  }

  /** Whether the file still exists. */
  async exists(): Promise<boolean> {
    return (await this.#handle.stat()).nlink > 0;
  }

  /** Appends all records in one write. After a failed write the file is still valid, but must not be written again. */
  async append(records: readonly Encoded[]): Promise<void> {
    const frames: Buffer[] = [];
    const rows: StoredRow[] = [];
    let at = this.#at;
    const put = (frame: Buffer): void => {
      frames.push(frame);
      at += frame.length;
    };
    for (const group of grouped(records)) {
      let from = 0;
      for (const { row, part } of group) {
        rows.push({ ...row, at: [at, from, part.length] });
        from += part.length;
      }
      put(this.#seal.frame(at, KIND.parts, Buffer.concat(group.map(({ part }) => part))));
    }
    put(this.#seal.frame(at, KIND.heads, Buffer.from(JSON.stringify(rows))));
    await writeAll(this.#handle, Buffer.concat(frames), this.#at);
    this.#at = at;
    this.#records += records.length;
  }

  /** Removes the file if it is empty. */
  async close(): Promise<void> {
    await this.#handle.close();
    if (this.#records === 0) await rm(this.#path, { force: true });
  }
}

function* grouped(records: readonly Encoded[]): Iterable<readonly Encoded[]> {
  let group: Encoded[] = [];
  let bytes = 0;
  for (const record of records) {
    if (group.length > 0 && bytes + record.part.length > PARTS_FRAME_BYTES) {
      yield group;
      [group, bytes] = [[], 0];
    }
    group.push(record);
    bytes += record.part.length;
  }
  if (group.length > 0) yield group;
}

async function writeAll(handle: FileHandle, bytes: Buffer, at: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, at + written);
    written += bytesWritten;
  }
}
