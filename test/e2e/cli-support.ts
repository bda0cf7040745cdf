import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { createContext } from '../../src/cli/context.js';
import { run as runCommand } from '../../src/cli/main.js';
import { Output, type Wrap } from '../../src/cli/output.js';
import { portalPaths } from '../../src/lib/paths.js';

const PORTAL = fileURLToPath(new URL('../../bin/portal.js', import.meta.url));

/** A command line that runs each command as a separate process. */
export const PROCESSES: readonly string[] = [process.execPath, PORTAL];

/**
 * Commands that query an agent or read files, and exit. They run in the test process, because separate processes
 * would take most of the suite's time. Other tests also run each of them as a process.
 */
const QUERIES: ReadonlySet<string> = new Set([
  'status',
  'plan',
  'validate',
  'list',
  'requests',
  'agents',
  'identity',
  'down',
  'replay',
  'allow',
  'doctor',
  'trust',
]);

/** Variables that change more than a command's own settings: they are read from the process, or inherited by it. */
const OF_THE_PROCESS = /^(PORTAL_HOME|NODE_.*|.*_PROXY|(NO|FORCE)_COLOR)$/i;

/** An Output whose text tests can read. With `wrap`, lines break as on a terminal. */
export function capturedOutput(terminal: { isTTY?: boolean; columns?: number } = {}, wrap?: Wrap) {
  const chunks: string[] = [];
  const stream = Object.assign(new PassThrough(), terminal);
  stream.on('data', (chunk: Buffer) => chunks.push(chunk.toString()));
  const output = new Output(stream, { env: {}, describeDropped: (lines) => `dropped ${lines}`, wrap });
  return { output, stream, text: () => chunks.join('') };
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One JSON line of the program. */
export interface Line {
  readonly time: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** The lines of an output that is all JSON. */
export function jsonLines(text: string): Line[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

/** Like `PROCESSES`, except for queries. */
const QUERIES_HERE: readonly string[] = [...PROCESSES];

/** A person with a working folder and a PORTAL_HOME, whose processes end with the test. */
export class Person {
  readonly folder: string;
  readonly #program: readonly string[];
  readonly #running = new Set<Running>();

  private constructor(folder: string, program: readonly string[]) {
    this.folder = folder;
    this.#program = program;
  }

  /** `program` is the command that runs as `portal`. */
  static async create(program: readonly string[] = QUERIES_HERE): Promise<Person> {
    const person = new Person(await mkdtemp(join(tmpdir(), 'portal-cli-')), program);
    onTestFinished(async () => {
      for (const running of person.#running) running.kill('SIGKILL');
      await Promise.all([...person.#running].map(({ finished }) => finished));
      await rm(person.folder, { recursive: true, force: true });
    });
    return person;
  }

  get home(): string {
    return join(this.folder, 'home');
  }

  /** Starts `portal …`, and kills it with the test if it still runs. */
  start(
    args: readonly string[],
    options: {
      stdin?: string;
      env?: NodeJS.ProcessEnv;
      within?: readonly string[];
      /** File descriptors from 3 on. */
      fds?: readonly number[];
    } = {},
  ): Running {
    // `within` runs it elsewhere, such as in another network.
    const [command, ...rest] = [...(options.within ?? []), ...this.#program, ...args];
    const child = spawn(command!, rest, {
      cwd: this.folder,
      env: { ...process.env, PORTAL_HOME: this.home, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe', ...(options.fds ?? [])],
    });
    child.stdin!.on('error', () => undefined).end(options.stdin ?? '');
    const running = new Running(child);
    this.#running.add(running);
    return running;
  }

  /** Runs `portal …` to its end. */
  run(
    args: readonly string[],
    options: { stdin?: string; env?: NodeJS.ProcessEnv; within?: readonly string[] } = {},
  ): Promise<Finished> {
    const { env = {}, ...others } = options;
    const isQuery = this.#program === QUERIES_HERE && QUERIES.has(args[0] ?? '') && !args.includes('--help');
    const isHere =
      Object.keys(others).length === 0 && !Object.keys(env).some((name) => OF_THE_PROCESS.test(name));
    return isQuery && isHere ? this.#here(args, env) : this.start(args, options).finished;
  }

  async #here(argv: readonly string[], more: NodeJS.ProcessEnv): Promise<Finished> {
    const env = { ...process.env, PORTAL_HOME: this.home, ...more };
    const [stdout, stderr] = [capturedOutput(), capturedOutput()];
    const context: ReturnType<typeof createContext> = {
      argv,
      env,
      cwd: this.folder,
      stdin: new PassThrough().end(),
      stdout: stdout.output,
      stderr: stderr.output,
      paths: portalPaths(env),
      json: argv.includes('--json'),
      verbosity: 'normal',
    };
    const code = await runCommand(context);
    await Promise.all([stdout.output.flush(), stderr.output.flush()]);
    return { code, signal: null, stdout: stdout.text(), stderr: stderr.text() };
  }

  /** Ends an agent in the background with the test. */
  downAfterTest(args: readonly string[] = []): void {
    onTestFinished(async () => {
      await this.run(['down', ...args]);
    });
  }
}

/** A running `portal`. */
export class Running {
  readonly finished: Promise<Finished>;
  readonly #child: ChildProcess;
  readonly #waiters = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #ended = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (chunk: Buffer) => this.#grow(() => (this.#stdout += chunk.toString())));
    child.stderr!.on('data', (chunk: Buffer) => this.#grow(() => (this.#stderr += chunk.toString())));
    this.finished = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.#grow(() => (this.#ended = true));
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Closes the reading end of its stdout. */
  closeStdout(): void {
    this.#child.stdout!.destroy();
  }

  /** The first JSON event on stdout that matches, past or future. `index` counts lines from 0. */
  event(type: string, match: (line: Line, index: number) => boolean = () => true): Promise<Line> {
    return this.#until(() =>
      jsonLines(wholeLines(this.#stdout)).find((line, index) => line.event === type && match(line, index)),
    );
  }

  /** The first line on stderr that matches, past or future. */
  line(pattern: RegExp): Promise<string> {
    return this.#until(() =>
      wholeLines(this.#stderr)
        .split('\n')
        .find((line) => pattern.test(line)),
    );
  }

  #until<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = find();
        if (found !== undefined) {
          this.#waiters.delete(look);
          resolve(found);
        } else if (this.#ended) {
          reject(new Error(`portal exited before that:\n${this.#stdout}\n${this.#stderr}`));
        }
      };
      this.#waiters.add(look);
      look();
    });
  }

  #grow(change: () => void): void {
    change();
    for (const look of this.#waiters) look();
  }
}

const wholeLines = (text: string): string => text.slice(0, text.lastIndexOf('\n') + 1);
