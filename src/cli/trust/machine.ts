import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { shellQuote } from '../../lib/private-file.js';
import { homeFolder } from '../../lib/paths.js';

/** A program and its arguments. */
export type CommandLine = readonly [program: string, ...args: string[]];

export interface Ran {
  readonly ok: boolean;
  readonly stdout: string;
  /** Why it failed, in one line. */
  readonly why: string;
}

/** What the stores of a machine depend on. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly configHome: string;
  readonly dataHome: string;
  /** Undefined on Windows. */
  readonly uid: number | undefined;
  /** The folder that holds /etc, /usr and /var. Tests name another one. */
  readonly root: string;
  /** The absolute path of a program on PATH. */
  which(program: string): string | undefined;
  run(command: CommandLine): Promise<Ran>;
}

/** macOS and Windows ask for a confirmation in a window. */
const RUN_MS = 120_000;
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin'];

export function thisMachine(env: NodeJS.ProcessEnv): Machine {
  const home = homeFolder(env);
  const path = (env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  const folders = process.platform === 'win32' ? path : [...path, ...SYSTEM_FOLDERS];
  const which = (program: string): string | undefined =>
    folders.map((folder) => join(folder, program)).find(isProgram);
  return {
    platform: process.platform,
    home,
    configHome: absolute(env['XDG_CONFIG_HOME']) ?? join(home, '.config'),
    dataHome: absolute(env['XDG_DATA_HOME']) ?? join(home, '.local/share'),
    uid: process.getuid?.(),
    root: '/',
    which,
    run: ([program, ...args]) => run(which(program) ?? program, args),
  };
}

/** As a person types it. */
export function commandText(command: CommandLine): string {
  return command.map(shellQuote).join(' ');
}

/** Nobody is asked for anything on the terminal: standard input is empty. */
function run(program: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: RUN_MS }, (error, stdout, stderr) => {
      if (!error) return resolve({ ok: true, stdout, why: '' });
      const said = `${stderr}\n${stdout}`.split('\n').filter((line) => line.trim() !== '');
      const why = error.killed ? `no end within ${RUN_MS / 1000} s` : (said.at(-1) ?? error.message).trim();
      resolve({ ok: false, stdout, why });
    });
    child.stdin?.end();
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** `ID` and `ID_LIKE` of os-release(5), the closest first. */
export function distributions({ root }: Machine): readonly string[] {
  for (const file of ['etc/os-release', 'usr/lib/os-release']) {
    try {
      const text = readFileSync(join(root, file), 'utf8');
      return ['ID', 'ID_LIKE'].flatMap((key) => {
        const value = new RegExp(`^${key}=(["']?)(.*)\\1$`, 'm').exec(text)?.[2];
        return value?.split(' ').filter(Boolean) ?? [];
      });
    } catch {
      // The next place.
    }
  }
  return [];
}

const absolute = (path: string | undefined): string | undefined =>
  path !== undefined && isAbsolute(path) ? path : undefined;
