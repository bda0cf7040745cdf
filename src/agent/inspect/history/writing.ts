import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../../lib/errors.js';
import { fileName, type FileInfo } from './files.js';
import { MAX_RUN } from './ids.js';
import type { Encoded } from './record.js';
import { FileSeal, KIND } from './seal.js';

/** What is small goes together into one frame; what is not has one to itself. */
const PARTS_FRAME_BYTES = 64 * 1024;

/** A request's row as it is written: `at` is the frame of its part, and where it is in that. */
export type StoredRow = Encoded['row'] & {
  readonly at: readonly [frame: number, from: number, bytes: number];
};

/** A file that is being written. It is only ever added to, by one process, and never opened for that again. */
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

  /** Throws `EEXIST` when there is one of this name. */
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

  /** The first file of a run that is nobody else's: who makes it has the number. */
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
    throw new Error('there are no more numbers for runs; wiping the history begins anew');
  }

  get bytes(): number {
    return this.#at;
  }

  /** It has not been removed meanwhile. */
  async isThere(): Promise<boolean> {
    return (await this.#handle.stat()).nlink > 0;
  }

  /** All of them, in one write. One that fails leaves the file as good as it was, and not to be written to again. */
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

  /** One without anything in it goes. */
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
