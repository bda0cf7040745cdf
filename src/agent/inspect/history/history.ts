import { join } from 'node:path';
import type { Identity } from '../../../identity/identity.js';
import { systemCode } from '../../../lib/errors.js';
import type { Logger } from '../../../lib/logger.js';
import { makePrivateFolder } from '../../../lib/private-file.js';
import type { Recording } from '../recording.js';
import type { RequestRow } from '../wire.js';
import { FILES_AT_A_TIME, HISTORY_LIMITS, type HistoryLimits } from './limits.js';
import { fileName, HistoryFolder, freePath, removeUntouched, type FileInfo } from './files.js';
import { find, search, type FoundRow } from './search.js';
import { Queue } from './queue.js';
import { encode, type Encoded } from './record.js';
import { tidy } from './tidy.js';
import { WritingFile } from './writing.js';

export interface HistoryOptions {
  /** Folder of the histories of all identities (lib/paths). */
  readonly folder: string;
  readonly identity: Identity;
  /** Path of the recorded portal.yaml; null without one. */
  readonly source: string | null;
  /** Called when requests can no longer be written. */
  readonly warn: (message: string) => void;
  readonly log: Logger;
  readonly limits?: Partial<HistoryLimits>;
  readonly now?: () => number;
}

/** Limits per batch of encoding and writing, so that other work gets a turn. */
const RECORDS_A_TURN = 64;
const BYTES_A_TURN = 256 * 1024;
const TIDY_EVERY_MS = 60_000;
const CLOCK_SKEW_MS = 60_000;

/** The files of an identity, for readers. */
export function historyFolder(folder: string, identity: Identity): HistoryFolder {
  return new HistoryFolder(join(folder, identity.address.toLowerCase()), identity.derive('request history'));
}

/**
 * Stores requests beyond this run of the agent. Writes them some time after they end, to a file that only this
 * process appends to, so agents never wait for each other. Failures here affect neither visitors nor the requests in
 * memory.
 */
export class RequestHistory {
  readonly run: number;
  readonly limits: HistoryLimits;
  readonly source: string | null;
  readonly #folder: HistoryFolder;
  readonly #warn: (message: string) => void;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #queue: Queue;
  #file: WritingFile | undefined;
  #parts = 1;
  #maxAgeMs: number;
  #timer: NodeJS.Timeout | undefined;
  /** Serializes all operations on the files. */
  #working = Promise.resolve();
  #retryAt = -Infinity;
  #isFailing = false;
  #isClosed = false;
  readonly #tidying: NodeJS.Timeout;

  private constructor(options: Required<HistoryOptions>, folder: HistoryFolder, first: Begun) {
    this.run = first.run;
    this.source = options.source;
    this.limits = limitsOf(options);
    this.#maxAgeMs = this.limits.maxAgeMs;
    this.#file = first.file;
    this.#folder = folder;
    this.#warn = options.warn;
    this.#log = options.log;
    this.#now = options.now;
    this.#queue = new Queue(this.limits);
    this.#tidying = setInterval(() => void this.#do(() => this.#tidy()), TIDY_EVERY_MS).unref();
  }

  /** Throws if the history cannot be written. */
  static async open(options: HistoryOptions): Promise<RequestHistory> {
    const given = { limits: {}, now: Date.now, ...options };
    const folder = historyFolder(options.folder, options.identity);
    await freePath(folder.path, options.warn);
    await makePrivateFolder(folder.path);
    const limits = limitsOf(given);
    // By file time, because not every reader can decrypt the content.
    await removeUntouched(options.folder, Date.now() - limits.maxAgeMs * (1 + 1 / FILES_AT_A_TIME));
    // First, because it reports unreadable files.
    await folder.setAside(await tidy(folder, limits, given.now(), new Set()), options.warn);
    const info = infoOf(options.source, given.now(), limits.maxAgeMs, limits);
    const first = await WritingFile.ofNewRun(folder.path, await folder.lastRun(), folder.master, info);
    return new RequestHistory(given, folder, first);
  }

  /** Finished requests that could not be stored. */
  get lost(): number {
    return this.#queue.lost;
  }

  /** Sets the maximum age of requests. */
  set maxAgeMs(ms: number) {
    const maxAgeMs = Math.min(ms, this.limits.maxAgeMs);
    if (maxAgeMs === this.#maxAgeMs) return;
    this.#maxAgeMs = maxAgeMs;
    void this.#do(() => this.#tidy());
  }

  /** Queues a finished request. This is cheap: its final state is read when it is written. */
  add(recording: Recording, mask: ReadonlySet<string>): void {
    if (this.#isClosed) return;
    this.#queue.add(recording, mask);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#do(() => this.#write());
    }, this.limits.writeEveryMs).unref();
  }

  find(id: number): Promise<Recording | undefined> {
    return this.#flushed().then(() => find(this.#folder, id, this.#now()));
  }

  /** Rows of these services that began before `before`, newest first, except those that `has` knows. */
  async earlier(
    services: readonly string[],
    before: number | undefined,
    has: (id: number) => boolean,
  ): Promise<{ rows: RequestRow[]; isPart: boolean }> {
    await this.#flushed();
    const wanted = { services, source: this.source, ...(before !== undefined && { before }) };
    const { rows, isPart } = await search(this.#folder, wanted, this.limits.maxEarlier, this.#now());
    return { rows: rows.filter(({ id }) => !has(id)).map(plain), isPart };
  }

  /** Removes everything recorded for this portal.yaml. */
  clear(): Promise<void> {
    return this.#forget(async () => {
      const { files } = await this.#folder.list();
      for (const { name, info } of files) if (info.source === this.source) await this.#folder.remove(name);
    });
  }

  /** Removes everything of this identity. Returns the name of the one file that exists afterwards. */
  async wipe(): Promise<string | undefined> {
    await this.#forget(() => this.#folder.removeAll());
    return this.#file?.name;
  }

  /** Resolves once all finished requests are written or dropped. */
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
      // Keeps this run's number reserved.
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
    if (this.#isFailing) this.#log.info({}, 'keeping requests across runs again');
    this.#isFailing = false;
  }

  #next(): Encoded[] {
    const records: Encoded[] = [];
    let bytes = 0;
    while (records.length < RECORDS_A_TURN && bytes < BYTES_A_TURN) {
      const waiting = this.#queue.next();
      if (!waiting) break;
      const record = encode(waiting.recording, waiting.mask, this.limits.maxRecordBytes);
      records.push(record);
      bytes += record.part.length;
    }
    return records;
  }

  /** Ensures a writable file: the current one while it exists and is small and young enough, or a new one. */
  async #writable(): Promise<void> {
    if (this.#file && !this.#isFull(this.#file) && (await this.#file.exists())) return;
    const before = this.#file;
    await makePrivateFolder(this.#folder.path);
    const info = infoOf(this.source, this.#now(), this.#maxAgeMs, this.limits);
    this.#file = await this.#create(info);
    // Closed late, because the name of the old file reserves the number of this run.
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
    const { maxAgeMs } = infoOf(this.source, 0, this.#maxAgeMs, this.limits);
    return (
      bytes >= this.limits.maxBytes / FILES_AT_A_TIME ||
      this.#now() > info.endsAt ||
      // The clock was set back. Without a new file, requests would be kept longer by that difference.
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
    const unreadable = await tidy(this.#folder, this.limits, this.#now(), new Set([this.#file!.name]));
    await this.#folder.setAside(unreadable, this.#warn);
  }

  /** Drops the waiting requests, which would only accumulate. The next attempt uses a new file. */
  async #failed(error: unknown): Promise<void> {
    this.#queue.lose();
    this.#retryAt = performance.now() + this.limits.retryMs;
    await closed(this.#file);
    this.#file = undefined;
    if (!this.#isFailing)
      this.#warn(
        `requests are kept in memory only for now: ${this.#folder.path} cannot be written (${systemCode(error) ?? String(error)})`,
      );
    this.#isFailing = true;
  }
}

/** A close that fails is ignored. */
async function closed(file: WritingFile | undefined): Promise<void> {
  try {
    await file?.close();
  } catch {
    // The disk is full or was removed.
  }
}

function plain(found: FoundRow): RequestRow {
  const { source: _, ...row } = found;
  return row;
}

type Begun = Awaited<ReturnType<typeof WritingFile.ofNewRun>>;

const limitsOf = ({ limits }: HistoryOptions): HistoryLimits => ({ ...HISTORY_LIMITS, ...limits });

function infoOf(source: string | null, startedAt: number, maxAgeMs: number, limits: HistoryLimits): FileInfo {
  const spanMs = Math.ceil(Math.min(maxAgeMs, limits.maxAgeMs) / FILES_AT_A_TIME);
  return { source, startedAt, endsAt: startedAt + spanMs, maxAgeMs };
}
