import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { PortalError, systemCode } from '../lib/errors.js';
import type { PassedExit } from './context.js';

/** Signals that only Portal gets, for example from a service manager. */
const PASSED = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;
/** A terminal sends these to the program as well. */
const OF_THE_TERMINAL = ['SIGINT', 'SIGQUIT'] as const;

export interface ChildOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly source?: NodeJS.Process;
}

/**
 * Runs a program in place of this one: with its input and output, its signals and its exit code. The code of a program that
 * a signal ended is 128 + n, as in shells. Throws `usage` if it cannot start.
 */
export async function runChild(
  program: string,
  args: readonly string[],
  { cwd, env, source = process }: ChildOptions,
): Promise<PassedExit> {
  const child = spawn(program, [...args], { cwd, env, stdio: 'inherit', shell: needsShell(program) });
  const stopPassing = passSignals(child, source);
  try {
    return (await exitOf(child, program)) as PassedExit;
  } finally {
    stopPassing();
  }
}

/** Windows runs scripts such as npm.cmd only in a shell. */
const needsShell = (program: string): boolean =>
  process.platform === 'win32' && !/\.(exe|com)$/i.test(program);

function exitOf(child: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      const isMissing = systemCode(error) === 'ENOENT';
      const why = isMissing ? 'it is not on the PATH' : error.message;
      reject(
        new PortalError('usage', `cannot run ${JSON.stringify(program)}: ${why}`, {
          cause: error,
          ...(program.includes(' ') && { hint: 'Write it without quotes, or run a shell: sh -c "…".' }),
        }),
      );
    });
    child.once('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal!] ?? 0)));
  });
}

function passSignals(child: ChildProcess, source: NodeJS.Process): () => void {
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  const passUnlessSent = (signal: NodeJS.Signals): void => {
    if (!source.stdin.isTTY) pass(signal);
  };
  for (const name of PASSED) source.on(name, pass);
  for (const name of OF_THE_TERMINAL) source.on(name, passUnlessSent);
  return () => {
    for (const name of PASSED) source.off(name, pass);
    for (const name of OF_THE_TERMINAL) source.off(name, passUnlessSent);
  };
}
