import { relative } from 'node:path';
import { Scope } from '../../lib/scope.js';
import { loadConfig, type LoadOptions, type LoadResult } from '../load.js';
import { watchInputs, type Watching } from './watch.js';

/** How long a text may stay invalid, or lack services, before it is reported: editors and people save in steps. */
const HALF_SAVE_MS = 150;

export interface FollowOptions {
  /** Standard input can be read only once. With `initial`, pass a function that returns the same text again. */
  load: LoadOptions;
  /** Stops watching. */
  signal: AbortSignal;
  /** What the caller has already loaded. Default: reports the first load too. */
  initial?: LoadResult;
  /** Can change or reject each load before it is reported. */
  admit?: (result: LoadResult) => Promise<LoadResult>;
  /** More files whose change triggers another load. */
  alsoWatch?: readonly string[];
  /** Called for each load whose result differs from the last one, including invalid files. */
  onLoaded: (result: LoadResult) => void;
  onError: (error: unknown) => void;
  /** How long an incomplete save may last. Default: 150. */
  halfSaveMs?: number;
}

/**
 * Loads the configuration again after every relevant change, one load at a time. Resolves once it cannot miss a
 * change. Keeps to the file that it found first, even if that file is missing for a moment and a parent directory has
 * another.
 */
export async function followConfig(options: FollowOptions): Promise<{ close(): Promise<void> }> {
  const load = withStdinOnce(options.load);
  const first = options.initial ?? (await loadConfig(load));
  const follower = new Follower(options, pinned(load, first));
  if (options.initial) follower.remember(first);
  else follower.tell(first);
  const watching = await watchInputs({
    inputs: follower.watched(first),
    onChange: () => follower.changed(),
    onError: options.onError,
    signal: follower.signal,
  });
  follower.watching = watching;
  follower.changed(); // a save between the first load and the start of the watcher
  await follower.idle();
  return {
    async close() {
      await follower.close();
      await watching.close();
    },
  };
}

function withStdinOnce(load: LoadOptions): LoadOptions {
  const { stdin } = load;
  let input: Promise<string> | undefined;
  return stdin ? { ...load, stdin: () => (input ??= stdin()) } : load;
}

/** The same options, limited to the file that was found. */
function pinned(load: LoadOptions, first: LoadResult): LoadOptions {
  const named = load.file ?? load.env['PORTAL_FILE'];
  return { ...load, file: named || relative(load.cwd, first.file), isFound: !named };
}

class Follower {
  readonly #options: FollowOptions;
  readonly #load: LoadOptions;
  readonly #scope = new Scope();
  #told: string | undefined;
  /** Services of the last good load that was reported. */
  #services: readonly string[] = [];
  #stale = false;
  #running: Promise<void> | undefined;
  #inputs: readonly string[] = [];
  watching: Watching | undefined;
  #grace: NodeJS.Timeout | undefined;

  constructor(options: FollowOptions, load: LoadOptions) {
    this.#options = options;
    this.#load = load;
    const { signal } = options;
    const onAbort = (): void => void this.close();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#scope.defer(() => signal.removeEventListener('abort', onAbort));
    this.#scope.defer(() => clearTimeout(this.#grace));
    if (signal.aborted) onAbort();
  }

  /** Aborts when following stops. */
  get signal(): AbortSignal {
    return this.#scope.signal;
  }

  changed(): void {
    this.#stale = true;
    clearTimeout(this.#grace);
    this.#running ??= this.#run();
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  close(): Promise<void> {
    return this.#scope.close();
  }

  remember(result: LoadResult): void {
    this.#told = outcome(result);
    if (result.ok) this.#services = servicesOf(result);
  }

  tell(result: LoadResult): void {
    if (this.#scope.closed || outcome(result) === this.#told) return;
    this.remember(result);
    try {
      this.#options.onLoaded(result);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** The inputs to watch after a load. A load that failed may know only some of them. */
  watched({ ok, inputs }: LoadResult): readonly string[] {
    const all = [...inputs, ...(this.#options.alsoWatch ?? []), ...(ok ? [] : this.#inputs)];
    return (this.#inputs = [...new Set(all)]);
  }

  /** Watches the files that the load named. Returns whether these are others than before. */
  async #rewatch(result: LoadResult): Promise<boolean> {
    const before = this.#inputs.join('\0');
    const inputs = this.watched(result);
    if (inputs.join('\0') === before) return false;
    await this.watching?.watch(inputs);
    return true;
  }

  /** The beginning of a file may be a valid configuration. Applying it would close the services in its rest. */
  #lacksServices(result: Extract<LoadResult, { ok: true }>): boolean {
    const now = new Set(servicesOf(result));
    return this.#services.some((service) => !now.has(service));
  }

  /** Loads until nothing has changed during a load. */
  async #run(): Promise<void> {
    try {
      while (this.#stale && !this.#scope.closed) {
        this.#stale = false;
        const loaded = await loadConfig(this.#load);
        // A file may have changed before it was watched.
        if (await this.#rewatch(loaded)) this.#stale = true;
        const result = (await this.#options.admit?.(loaded)) ?? loaded;
        if (this.#stale || this.#scope.closed) continue;
        if (result.ok && !this.#lacksServices(result)) this.tell(result);
        else this.#grace = setTimeout(() => this.tell(result), this.#options.halfSaveMs ?? HALF_SAVE_MS);
      }
    } catch (error) {
      this.#options.onError(error);
    } finally {
      this.#running = undefined;
    }
  }
}

const servicesOf = ({ desired }: Extract<LoadResult, { ok: true }>): string[] =>
  desired.services.map(({ service }) => service);

/** The result of a load as a comparable string. */
function outcome(result: LoadResult): string {
  return JSON.stringify(result.ok ? [result.desired, result.effective, result.warnings] : result.problems);
}
