import { portalPaths, type Paths } from '../lib/paths.js';
import type { SignalExit } from './interrupts.js';
import { Output, type OutputOptions } from './output.js';
import type { Verbosity } from './verbosity.js';

/** 0: success. 1: failed at run time. 2: usage or configuration. 3: `plan` found changes. Others: ended by a signal. */
export type ExitCode = 0 | 1 | 2 | 3 | SignalExit | PassedExit;

/** The exit code of the program that `portal run` ran. */
export type PassedExit = number & { readonly passed: true };

/** The process as commands see it. Commands do not use `process` directly. */
export interface Context {
  /** Arguments after `portal`. */
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly stdin: NodeJS.ReadableStream;
  /** Results, for pipes and programs. */
  readonly stdout: Output;
  /** Progress and errors, for people. */
  readonly stderr: Output;
  readonly paths: Paths;
  readonly json: boolean;
  readonly verbosity: Verbosity;
}

/** What every file in commands/ exports. */
export interface CommandModule<Options> {
  run(context: Context, input: CommandInput<Options>): Promise<ExitCode>;
}

export interface CommandInput<Options> {
  readonly args: readonly string[];
  readonly options: Options;
}

/** `verbosity` is set after the command line is parsed. */
export function createContext(
  argv: readonly string[],
  wrap?: OutputOptions['wrap'],
): Context & { verbosity: Verbosity } {
  const { env } = process;
  const json = wantsJson(argv);
  const describeDropped = (lines: number): string =>
    json
      ? JSON.stringify({ time: new Date().toISOString(), event: 'dropped', lines })
      : `(dropped ${lines} lines: the reader was too slow)`;
  return {
    argv,
    env,
    cwd: process.cwd(),
    // A getter: loading stdin is slow, and few commands read it.
    get stdin() {
      return process.stdin;
    },
    stdout: new Output(process.stdout, { env, describeDropped, wrap }),
    stderr: new Output(process.stderr, { env, describeDropped, wrap }),
    paths: portalPaths(env),
    json,
    verbosity: 'normal',
  };
}

/** Checks the raw arguments, because errors of the command line itself are printed in JSON too. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
}
