import { join } from 'node:path';
import type { Identity } from '../../../identity/identity.js';
import { systemCode } from '../../../lib/errors.js';
import type { Logger } from '../../../lib/logger.js';
import { makePrivateFolder } from '../../../lib/private-file.js';
import type { Recording } from '../recording.js';
import type { RequestRow } from '../wire.js';
import { FILES_AT_A_TIME, HISTORY_BOUNDS, type HistoryBounds } from './bounds.js';
import { fileName, HistoryFolder, makeWay, removeUntouched, type FileInfo } from './files.js';
import { find, search, type FoundRow } from './search.js';
import { Queue } from './queue.js';
import { encode, type Encoded } from './record.js';
import { tidy } from './tidy.js';
import { WritingFile } from './writing.js';

export interface HistoryOptions {
  /** Of the histories of all identities (lib/paths). */
  readonly folder: string;
  readonly identity: Identity;
  /** Path of the portal.yaml that is recorded for; null without one. */
  readonly source: string | null;
  readonly log: Logger;
  readonly bounds?: Partial<HistoryBounds>;
  readonly now?: () => number;
}

/** Encoded and written in one go, so that others have a turn in between. */
const RECORDS_A_TURN = 64;
const BYTES_A_TURN = 256 * 1024;
const TIDY_EVERY_MS = 60_000;
const CLOCK_SKEW_MS = 60_000;

/** The files of an identity, for whoever only reads them. */
export function historyFolder(folder: string, identity: Identity): HistoryFolder {
  return new HistoryFolder(join(folder, identity.address.toLowerCase()), identity.derive('request history'));
}

/**
 * Requests beyond this run of the agent. They are written once they are over, some time after the visitor has gone,
 * to a file that this process alone adds to; so no agent waits for another. Nothing that goes wrong here is any concern of a
 * visitor, or of what is kept in memory.
 */
export class RequestHistory {
  readonly run: number;
  readonly bounds: HistoryBounds;
  readonly source: string | null;
  readonly #folder: HistoryFolder;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #queue: Queue;
  #file: WritingFile | undefined;
  #parts = 1;
  #maxAgeMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** What is done to the files, one after the other. */
  #working = Promise.resolve();
  #retryAt = -Infinity;
  #isFailing = false;
  #isClosed = false;
  readonly #tidying: NodeJS.Timeout;

  private constructor(options: Required<HistoryOptions>, folder: HistoryFolder, first: Begun) {
    this.run = first.run;
    this.source = options.source;
    this.bounds = boundsOf(options);
    this.#maxAgeMs = this.bounds.maxAgeMs;
    this.#file = first.file;
    this.#folder = folder;
    this.#log = options.log;
    this.#now = options.now;
    this.#queue = new Queue(this.bounds);
    this.#tidying = setInterval(() => void this.#do(() => this.#tidy()), TIDY_EVERY_MS).unref();
  }

  /** Throws when there is nothing to be written to. */
  static async open(options: HistoryOptions): Promise<RequestHistory> {
    const given = { bounds: {}, now: Date.now, ...options };
    const folder = historyFolder(options.folder, options.identity);
    await makeWay(folder.path, options.log);
    await makePrivateFolder(folder.path);
    const bounds = boundsOf(given);
    // By the files' own times, for what is in them is not for everybody to know.
    await removeUntouched(options.folder, Date.now() - bounds.maxAgeMs * (1 + 1 / FILES_AT_A_TIME));
    // First of all, for it tells what does not open.
    await folder.setAside(await tidy(folder, bounds, given.now(), new Set()), options.log);
    const info = infoOf(options.source, given.now(), bounds.maxAgeMs, bounds);
    const first = await WritingFile.ofNewRun(folder.path, await folder.lastRun(), folder.master, info);
    return new RequestHistory(given, folder, first);
  }

  /** Requests that were over and could not be kept. */
  get lost(): number {
    return this.#queue.lost;
  }

  /** Nothing older than this is kept from now on. */
  set maxAgeMs(ms: number) {
    const maxAgeMs = Math.min(ms, this.bounds.maxAgeMs);
    if (maxAgeMs === this.#maxAgeMs) return;
    this.#maxAgeMs = maxAgeMs;
    void this.#do(() => this.#tidy());
  }

  /** Takes a request that is over. Costs next to nothing; what it has become is looked at when it is written. */
  add(recording: Recording, mask: ReadonlySet<string>): void {
    if (this.#isClosed) return;
    this.#queue.add(recording, mask);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#do(() => this.#write());
    }, this.bounds.writeEveryMs).unref();
  }

  find(id: number): Promise<Recording | undefined> {
    return this.#flushed().then(() => find(this.#folder, id, this.#now()));
  }

  /** Rows of these services that began before `before`, newest first, but for those that `has` knows. */
  async earlier(
    services: readonly string[],
    before: number | undefined,
    has: (id: number) => boolean,
  ): Promise<{ rows: RequestRow[]; isPart: boolean }> {
    await this.#flushed();
    const wanted = { services, source: this.source, ...(before !== undefined && { before }) };
    const { rows, isPart } = await search(this.#folder, wanted, this.bounds.maxEarlier, this.#now());
    return { rows: rows.filter(({ id }) => !has(id)).map(plain), isPart };
  }

  /** Forgets what was recorded for this portal.yaml. */
  clear(): Promise<void> {
    return this.#forget(async () => {
      const { files } = await this.#folder.list();
      for (const { name, info } of files) if (info.source === this.source) await this.#folder.remove(name);
    });
  }

  /** Forgets everything of this identity. Returns the name of the one file that is there after that. */
  async wipe(): Promise<string | undefined> {
    await this.#forget(() => this.#folder.removeAll());
    return this.#file?.name;
  }

  /** Once all that is over is written, or lost. */
  flush(): Promise<void> {
    return this.#do(() => this.#write());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#tidying);
    await this.flush();
    await this.#do(() => this.#endFile());
  }

  #flushed(): Promise<void> {
    return this.#queue.size > 0 ? this.flush() : this.#working;
  }

  async #forget(remove: () => Promise<void>): Promise<void> {
    await this.#do(async () => {
      this.#queue.clear();
      await this.#endFile();
      await remove();
      // So that this run's number stays taken.
      await this.#writable();
    });
  }

  #do(job: () => Promise<void>): Promise<void> {
    this.#working = this.#after(this.#working, job);
    return this.#working;
  }

  async #after(before: Promise<void>, job: () => Promise<void>): Promise<void> {
    await before;
    try {
      await job();
    } catch (error) {
      await this.#failed(error);
    }
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#queue.size === 0) return;
    if (performance.now() < this.#retryAt) return this.#queue.lose();
    await this.#writable();
    while (this.#queue.size > 0) {
      const records = this.#next();
      try {
        await this.#file!.append(records);
      } catch (error) {
        this.#queue.lose(records.length);
        throw error;
      }
      if (this.#isFull(this.#file!)) await this.#tidy();
    }
    if (this.#isFailing) this.#log.info({}, 'requests are kept across runs again');
    this.#isFailing = false;
  }

  #next(): Encoded[] {
    const records: Encoded[] = [];
    let bytes = 0;
    while (records.length < RECORDS_A_TURN && bytes < BYTES_A_TURN) {
      const waiting = this.#queue.next();
      if (!waiting) break;
      const record = encode(waiting.recording, waiting.mask, this.bounds.maxRecordBytes);
      records.push(record);
      bytes += record.part.length;
    }
    return records;
  }

  /** Has a file that may be written to: the one that was, while it is there, small and young; else a new one. */
  async #writable(): Promise<void> {
    if (this.#file && !this.#isFull(this.#file) && (await this.#file.isThere())) return;
    const before = this.#file;
    await makePrivateFolder(this.#folder.path);
    const info = infoOf(this.source, this.#now(), this.#maxAgeMs, this.bounds);
    this.#file = await this.#create(info);
    // Only now: its name has kept the number of this run.
    await before?.close();
  }

  async #create(info: FileInfo): Promise<WritingFile> {
    for (;;) {
      try {
        const name = fileName(this.run, this.#parts++);
        return await WritingFile.create(this.#folder.path, name, this.#folder.master, info);
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw error;
      }
    }
  }

  #isFull({ bytes, info }: WritingFile): boolean {
    const { maxAgeMs } = infoOf(this.source, 0, this.#maxAgeMs, this.bounds);
    return (
      bytes >= this.bounds.maxBytes / FILES_AT_A_TIME ||
      this.#now() > info.endsAt ||
      // The clock was set back: what comes now would be kept for as long as it was ahead.
      this.#now() < info.startedAt - CLOCK_SKEW_MS ||
      info.maxAgeMs !== maxAgeMs
    );
  }

  async #endFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #tidy(): Promise<void> {
    await this.#writable();
    const unreadable = await tidy(this.#folder, this.bounds, this.#now(), new Set([this.#file!.name]));
    await this.#folder.setAside(unreadable, this.#log);
  }

  /** What waits is let go, for it would only grow; there is a next try, with a new file. */
  async #failed(error: unknown): Promise<void> {
    this.#queue.lose();
    this.#retryAt = performance.now() + this.bounds.retryMs;
    await closed(this.#file);
    this.#file = undefined;
    if (!this.#isFailing)
      this.#log.warn(
        { reason: systemCode(error) ?? String(error), folder: this.#folder.path },
        'requests cannot be kept across runs now; they are kept in memory only until that is mended',
      );
    this.#isFailing = true;
  }
}

/** One that takes no more is let go all the same. */
async function closed(file: WritingFile | undefined): Promise<void> {
  try {
    await file?.close();
  } catch {
    // Its disk is full, or gone.
  }
}

function plain(found: FoundRow): RequestRow {
  const { source: _, ...row } = found;
  return row;
}

type Begun = Awaited<ReturnType<typeof WritingFile.ofNewRun>>;

const boundsOf = ({ bounds }: HistoryOptions): HistoryBounds => ({ ...HISTORY_BOUNDS, ...bounds });

function infoOf(source: string | null, startedAt: number, maxAgeMs: number, bounds: HistoryBounds): FileInfo {
  const spanMs = Math.ceil(Math.min(maxAgeMs, bounds.maxAgeMs) / FILES_AT_A_TIME);
  return { source, startedAt, endsAt: startedAt + spanMs, maxAgeMs };
}
