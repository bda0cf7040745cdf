import { spawn, type ChildProcess } from 'node:child_process';
import { systemCode } from '../../lib/errors.js';
import { deferred, until, within } from '../../lib/wait.js';

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it did not start. */
  readonly error?: string;
}

export interface GroupOptions {
  /** The text for the shell. */
  readonly run: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** How long its processes may take to end after SIGTERM. Default: 5 seconds. */
  readonly stopMs?: number;
}

const STOP_MS = 5_000;
/** The kernel ends a process soon after SIGKILL, unless a device blocks it. */
const KILLED_MS = 1_000;
const OUTPUT_MS = 500;

/** Windows has no process groups: there, taskkill ends a process with its descendants. */
const HAS_GROUPS = process.platform !== 'win32';

/**
 * A shell and every process that it starts. They have a process group of their own, so a Ctrl-C on the terminal reaches
 * only Portal, which then stops them in order.
 */
export class ProcessGroup {
  /** Resolves when the shell ends or could not start. Other processes of the group may still run. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #stopMs: number;
  /** Resolves when the output has ended. */
  readonly #closed: Promise<void>;
  #isChildGone = false;
  #stopping: Promise<void> | undefined;

  /** Throws some errors of the system that keep the shell from starting. `exited` has the others. */
  constructor({ run, cwd, env, stopMs = STOP_MS }: GroupOptions) {
    this.#stopMs = stopMs;
    const exited = deferred<Exit>();
    this.exited = exited.promise;
    this.#child = spawn(run, {
      shell: true,
      cwd,
      env,
      detached: HAS_GROUPS,
      windowsHide: true,
      // Several dev servers exit when their standard input ends, so it stays open as long as the agent runs.
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // Without a free file descriptor, it has no streams.
    this.#child.stdin?.on('error', () => undefined);
    this.#child.once('error', (error) => {
      this.#isChildGone = true;
      exited.resolve({ code: null, signal: null, error: startError(error, cwd) });
    });
    const closed = deferred<void>();
    this.#closed = closed.promise;
    this.#child.once('close', () => closed.resolve());
    this.#child.once('exit', (code, signal) => {
      this.#isChildGone = true;
      exited.resolve({ code, signal });
    });
  }

  /** The id of the shell's process and of the group. Undefined if it could not start. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  get stdout(): NodeJS.ReadableStream {
    return this.#child.stdout!;
  }

  get stderr(): NodeJS.ReadableStream {
    return this.#child.stderr!;
  }

  /** Ends every process: SIGTERM, and SIGKILL for those that are left after a while. Has a timeout. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#isAlive()) {
      this.#signal('SIGTERM');
      await until(() => !this.#isAlive(), this.#stopMs);
    }
    if (this.#isAlive()) {
      this.#signal('SIGKILL');
      await until(() => !this.#isAlive(), KILLED_MS);
    }
    // The last lines may not have been read yet. A process that left the group may keep the pipes open.
    await within(this.#closed, OUTPUT_MS, 'the end of the output').catch(() => undefined);
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) stream?.destroy();
  }

  /** Ends every process now, without a chance to finish. */
  kill(): void {
    if (this.#isAlive()) this.#signal('SIGKILL');
  }

  /** Whether a process of the group is left. */
  #isAlive(): boolean {
    const { pid } = this.#child;
    if (pid === undefined) return false;
    if (!HAS_GROUPS) return !this.#isChildGone;
    try {
      process.kill(-pid, 0);
      return true;
    } catch {
      // None is left, or none that this user may signal.
      return false;
    }
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child.pid!;
    if (!HAS_GROUPS) {
      spawn('taskkill', ['/pid', String(pid), '/T', '/F'], { stdio: 'ignore', windowsHide: true }).once(
        'error',
        () => this.#child.kill(),
      );
      return;
    }
    try {
      process.kill(-pid, signal);
    } catch {
      // It ended meanwhile.
    }
  }
}

/** Why a shell did not start in `cwd`. Node reports a missing folder as a missing shell. */
export function startError(error: Error, cwd: string): string {
  const code = systemCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return `the folder ${cwd} does not exist`;
  if (code === 'E2BIG') return 'the command and its variables are too long for the system';
  return error.message;
}
