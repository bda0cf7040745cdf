import { readFileSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { homeFolder } from '../../lib/paths.js';
import { programFinder, runProgram, type CommandLine, type ProgramResult } from '../programs.js';

/** The parts of a machine that its stores depend on. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly configHome: string;
  readonly dataHome: string;
  /** Undefined on Windows. */
  readonly uid: number | undefined;
  /** The folder that contains /etc, /usr and /var. Tests use another one. */
  readonly root: string;
  /** The absolute path of a program on the PATH. */
  which(program: string): string | undefined;
  run(command: CommandLine): Promise<ProgramResult>;
}

export function thisMachine(env: NodeJS.ProcessEnv): Machine {
  const home = homeFolder(env);
  const which = programFinder(env);
  return {
    platform: process.platform,
    home,
    configHome: absolute(env['XDG_CONFIG_HOME']) ?? join(home, '.config'),
    dataHome: absolute(env['XDG_DATA_HOME']) ?? join(home, '.local/share'),
    uid: process.getuid?.(),
    root: '/',
    which,
    run: ([program, ...args]) => runProgram([which(program) ?? program, ...args]),
  };
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** `ID` and `ID_LIKE` of os-release(5), closest first. */
export function distributions({ root }: Machine): readonly string[] {
  for (const file of ['etc/os-release', 'usr/lib/os-release']) {
    try {
      const text = readFileSync(join(root, file), 'utf8');
      return ['ID', 'ID_LIKE'].flatMap((key) => {
        const value = new RegExp(`^${key}=(["']?)(.*)\\1$`, 'm').exec(text)?.[2];
        return value?.split(' ').filter(Boolean) ?? [];
      });
    } catch {
      // Try the next file.
    }
  }
  return [];
}

const absolute = (path: string | undefined): string | undefined =>
  path !== undefined && isAbsolute(path) ? path : undefined;
