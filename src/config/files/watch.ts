import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { watch, type FSWatcher } from 'chokidar';
import { Scope } from '../../lib/scope.js';
import { pathsThatMatter } from './links.js';
import { MAX_FILE_BYTES } from '../text/yaml.js';

/** Events of one save arrive together. A save ends with a pause of this length. */
const QUIET_MS = 25;
/** The longest delay of a check while events keep arriving. */
const MAX_QUIET_MS = 100;
const SETTLE_MS = 150;

export interface WatchOptions {
  /** Absolute paths, existing or not. The names in a folder whose path ends with a separator are content too. */
  inputs: readonly string[];
  /**
   * Called when the content of an input changed. Several saves may cause one call, but the last content always causes
   * one.
   */
  onChange: () => void;
  /** Errors of the operating system, such as a limit of watches. Watching continues as far as possible. */
  onError?: (error: unknown) => void;
  /** How long a file may be empty or missing before that counts as a change. Default: 150. */
  settleMs?: number;
  /** Ends the watching. */
  signal: AbortSignal;
}

/**
 * Watches files for every way that editors and deployments save: in place, by temporary file and rename, by delete
 * and recreate, by a swapped symbolic link. Compares content, so `touch` causes no call. Reports changes since the
 * call. Resolves once no change can be missed.
 */
export async function watchInputs(options: WatchOptions): Promise<Watching> {
  const watcher = new InputWatcher(options);
  await watcher.start();
  return {
    ready: true,
    watch: (inputs) => watcher.watch(inputs),
    close: () => watcher.close(),
  };
}

export interface Watching {
  readonly ready: true;
  /** Watches other inputs from now on. Resolves once no later change can be missed. */
  watch(inputs: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

interface WatchedDirectory {
  /** Distinguishes this directory from one that replaced it. */
  readonly id: string;
  readonly watcher: FSWatcher;
}

class InputWatcher {
  readonly #options: WatchOptions;
  #inputs: readonly string[];
  readonly #scope = new Scope();
  readonly #directories = new Map<string, WatchedDirectory>();
  /** Paths whose events matter: the inputs, and every link that leads to them. */
  #names = new Set<string>();
  /** The last reported content hash of each input. Undefined for a missing file. */
  #known: readonly (string | undefined)[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When the first pending event arrived. */
  #since: number | undefined;
  #checking: Promise<void> | undefined;
  #again = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#inputs = options.inputs;
    const onAbort = (): void => void this.close();
    options.signal.addEventListener('abort', onAbort, { once: true });
    this.#scope.defer(() => options.signal.removeEventListener('abort', onAbort));
    this.#scope.defer(() => clearTimeout(this.#timer));
    this.#scope.defer(() => this.#closeDirectories());
  }

  async start(): Promise<void> {
    this.#known = await this.#contents();
    if (this.#options.signal.aborted) return this.close();
    await this.#follow();
    await this.#check();
  }

  async watch(inputs: readonly string[]): Promise<void> {
    while (this.#checking) await this.#checking;
    await this.#alone(() => this.#replace(inputs));
  }

  close(): Promise<void> {
    return this.#scope.close();
  }

  #event(path: string): void {
    if (this.#scope.closed || !this.#names.has(path)) return;
    this.#since ??= performance.now();
    const waited = performance.now() - this.#since;
    this.#schedule(Math.max(0, Math.min(QUIET_MS, MAX_QUIET_MS - waited)));
  }

  #schedule(ms: number): void {
    if (this.#scope.closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#checkOnce(), ms);
  }

  /** Checks never overlap. An event during one causes another. */
  #checkOnce(): void {
    if (this.#checking) {
      this.#again = true;
      return;
    }
    void this.#alone(() => this.#check());
  }

  /** Only one check or change of the inputs runs at a time. */
  #alone(work: () => Promise<void>): Promise<void> {
    this.#checking = work()
      .catch((error: unknown) => this.#options.onError?.(error))
      .finally(() => {
        this.#checking = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.#schedule(0);
      });
    return this.#checking;
  }

  async #replace(inputs: readonly string[]): Promise<void> {
    const before = new Map(this.#inputs.map((input, index) => [input, this.#known[index]]));
    this.#inputs = inputs;
    await this.#follow();
    const contents = await this.#contents();
    this.#known = inputs.map((input, index) => (before.has(input) ? before.get(input) : contents[index]));
  }

  async #check(): Promise<void> {
    const since = this.#since ?? performance.now();
    this.#since = undefined;
    await this.#follow();
    const contents = await this.#contents();
    if (this.#scope.closed || contents.every((content, index) => content === this.#known[index])) return;
    const left = (this.#options.settleMs ?? SETTLE_MS) - (performance.now() - since);
    if (left > 0 && contents.some((content, index) => isHalfSaved(content, this.#known[index]))) {
      this.#since ??= since;
      if (!this.#again) this.#schedule(left);
      return;
    }
    this.#known = contents;
    this.#options.onChange();
  }

  /** Watches exactly the directories that contain the relevant paths. */
  async #follow(): Promise<void> {
    const paths = await Promise.all(this.#inputs.map(pathsThatMatter));
    this.#names = new Set(paths.flat());
    const wanted = new Map<string, string>();
    const listed = this.#inputs.flatMap((input, index) => (isFolder(input) ? paths[index]!.slice(-1) : []));
    for (const directory of new Set([...[...this.#names].map(dirname), ...listed])) {
      const id = await identify(directory);
      if (id !== undefined) wanted.set(directory, id);
    }
    for (const [directory, { id, watcher }] of this.#directories) {
      if (wanted.get(directory) === id) continue;
      this.#directories.delete(directory);
      await watcher.close();
    }
    const opened = [...wanted].filter(([directory]) => !this.#directories.has(directory));
    await Promise.all(opened.map(([directory, id]) => this.#open(directory, id)));
    // Changes in a directory before it was watched cause no event, so check again.
    if (opened.length > 0 && !this.#scope.closed) await this.#follow();
  }

  async #open(directory: string, id: string): Promise<void> {
    if (this.#scope.closed) return;
    const watcher = watch(directory, {
      depth: 0,
      followSymlinks: false,
      ignoreInitial: true,
      ignorePermissionErrors: true,
      ignored: (path) => path !== directory && !this.#names.has(resolve(path)),
    });
    this.#directories.set(directory, { id, watcher });
    // The raw events, because chokidar's own events miss a link that was swapped for another.
    watcher.on('raw', (_event, name, details) => {
      const watched = watchedPathOf(details) ?? directory;
      for (const path of eventPaths(watched, name)) this.#event(path);
      if (basename(watched) === name) this.#directoryEvent();
    });
    watcher.on('error', (error) => this.#options.onError?.(error));
    await this.#readyOrClosed(watcher);
  }

  /** A watcher that is closed early never emits `ready`. */
  async #readyOrClosed(watcher: FSWatcher): Promise<void> {
    await new Promise<void>((done) => {
      const forget = this.#scope.defer(done);
      watcher.once('ready', () => {
        forget();
        done();
      });
    });
  }

  /** A directory was removed or moved, so everything below it may have changed. */
  #directoryEvent(): void {
    for (const name of this.#names) return this.#event(name);
  }

  async #contents(): Promise<(string | undefined)[]> {
    return Promise.all(this.#inputs.map(contentHash));
  }

  async #closeDirectories(): Promise<void> {
    await Promise.all([...this.#directories.values()].map(({ watcher }) => watcher.close()));
    this.#directories.clear();
  }
}

/** The watched path that caused an event. */
function watchedPathOf(details: unknown): string | undefined {
  const known = typeof details === 'object' && details !== null && 'watchedPath' in details;
  return known && typeof details.watchedPath === 'string' ? details.watchedPath : undefined;
}

/** The possible paths of an event: the named entry of the watched directory, or the watched file itself. */
function eventPaths(watched: string, name: string | null): string[] {
  return name ? [join(watched, name), watched] : [watched];
}

async function identify(directory: string): Promise<string | undefined> {
  const stats = await stat(directory, { bigint: true }).catch(() => undefined);
  // The system may reuse an inode number immediately, so the key includes the birth time.
  return stats?.isDirectory() ? `${stats.dev}:${stats.ino}:${stats.birthtimeNs}` : undefined;
}

const EMPTY = createHash('sha256').digest('base64');

/** Missing or empty now, but not before: the middle of a save. */
function isHalfSaved(now: string | undefined, before: string | undefined): boolean {
  return (now === undefined || now === EMPTY) && before !== undefined && before !== EMPTY;
}

const isFolder = (path: string): boolean => path.endsWith(sep);

async function contentHash(path: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    if (isFolder(path)) {
      const names = await readdir(path);
      return hash.update(JSON.stringify(names.toSorted())).digest('base64');
    }
    // Portal rejects content beyond the limit, so a change there does not matter.
    for await (const bytes of createReadStream(path, { end: MAX_FILE_BYTES })) hash.update(bytes as Buffer);
    return hash.digest('base64');
  } catch {
    return undefined;
  }
}
