import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { shellQuote } from '../lib/shell-quote.js';

/** Finds and runs other programs on this machine. */

/** A program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]];

export interface ProgramResult {
  readonly ok: boolean;
  readonly stdout: string;
  /** Why it failed, in one line. */
  readonly why: string;
}

/** Long, because macOS and Windows show a confirmation dialog. */
const RUN_MS = 120_000;
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];

/** Returns a function that looks up a program's absolute path on PATH. */
export function programFinder(env: NodeJS.ProcessEnv): (program: string) => string | undefined {
  const path = (env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  const folders = process.platform === 'win32' ? path : [...path, ...SYSTEM_FOLDERS];
  return (program) => folders.map((folder) => join(folder, program)).find(isProgram);
}

/** The command as typed in a shell. */
export function commandText(command: CommandLine): string {
  return command.map(shellQuote).join(' ');
}

/** Runs a program with empty standard input, so that it cannot prompt. Never rejects. */
export function runProgram([program, ...args]: CommandLine): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: RUN_MS }, (error, stdout, stderr) => {
      if (!error) return resolve({ ok: true, stdout, why: '' });
      const why = error.killed
        ? `timed out after ${RUN_MS / 1000} s`
        : (lastLine(stderr) ?? lastLine(stdout) ?? error.message);
      resolve({ ok: false, stdout, why });
    });
    child.stdin?.end();
  });
}

function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1)?.trim() || undefined;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
