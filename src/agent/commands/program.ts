import { delay } from '../../lib/wait.js';
import type { CommandSpec } from '../spec.js';
import type { Guardian } from './guardian.js';
import { readLines } from './lines.js';
import { ProcessGroup, startError, type Exit } from './process-group.js';

/** What a program does now. */
export type ProgramState =
  /** It has not started yet. */
  | { readonly state: 'waiting' }
  | { readonly state: 'running'; readonly pid: number }
  /** It ended, and starts again after `nextInMs`. */
  | { readonly state: 'exited'; readonly exit: Exit; readonly nextInMs: number }
  | { readonly state: 'stopped' };

export interface ProgramOptions {
  readonly command: CommandSpec;
  readonly guardian: Guardian;
  /** Resolves with the environment when the program may start. Called before each start. */
  readonly environment: (signal: AbortSignal) => Promise<NodeJS.ProcessEnv>;
  readonly onState: (state: ProgramState) => void;
  readonly onLine: (stream: 'stdout' | 'stderr', line: string) => void;
}

/** Pause before the first restart. It doubles with each one, up to the maximum. */
const MIN_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
/** A program that ran for this long is restarted as if for the first time. */
const STABLE_MS = 10_000;

/** Runs a command until it is stopped: starts it again when it exits, with increasing delays. */
export class Program {
  readonly #options: ProgramOptions;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #group: ProcessGroup | undefined;
  #state: ProgramState = { state: 'waiting' };
  #since = performance.now();

  /** Starts it. */
  constructor(options: ProgramOptions) {
    this.#options = options;
    this.#running = this.#run().catch(() => undefined);
  }

  get state(): ProgramState {
    return this.#state;
  }

  /** Milliseconds since the last change of its state. */
  get sinceMs(): number {
    return performance.now() - this.#since;
  }

  /** Ends it and all of its processes. Has a timeout. Idempotent. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#group?.stop();
    await this.#running;
  }

  /** Ends it now. */
  kill(): void {
    this.#ending.abort();
    this.#group?.kill();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    try {
      for (let pauseMs = MIN_PAUSE_MS; ;) {
        const env = await this.#options.environment(signal);
        if (signal.aborted) return;
        const startedAt = performance.now();
        const exit = await this.#runOnce(env);
        if (signal.aborted) return;
        if (performance.now() - startedAt >= STABLE_MS) pauseMs = MIN_PAUSE_MS;
        this.#set({ state: 'exited', exit, nextInMs: pauseMs });
        await delay(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
        this.#set({ state: 'waiting' });
      }
    } finally {
      this.#set({ state: 'stopped' });
    }
  }

  async #runOnce(env: NodeJS.ProcessEnv): Promise<Exit> {
    const { command, guardian, onLine } = this.#options;
    let group: ProcessGroup;
    try {
      group = new ProcessGroup({ run: command.run, cwd: command.cwd, env });
    } catch (error) {
      return { code: null, signal: null, error: startError(error as Error, command.cwd) };
    }
    this.#group = group;
    const { pid } = group;
    if (pid !== undefined) {
      guardian.add(pid);
      readLines(group.stdout, (line) => onLine('stdout', line));
      readLines(group.stderr, (line) => onLine('stderr', line));
      this.#set({ state: 'running', pid });
    }
    const exit = await group.exited;
    // A process that it left behind would keep the port.
    await group.stop();
    if (pid !== undefined) guardian.remove(pid);
    return exit;
  }

  #set(state: ProgramState): void {
    this.#state = state;
    this.#since = performance.now();
    this.#options.onState(state);
  }
}
