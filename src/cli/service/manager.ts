import { isAbsolute, join } from 'node:path';
import { PortalError } from '../../lib/errors.js';
import { homeFolder } from '../../lib/paths.js';
import { programFinder, runProgram, type CommandLine, type ProgramResult } from '../programs.js';
import { fileOfPlist, plistText, programsOfPlist } from './plist.js';
import type { ServiceSpec } from './spec.js';
import { fileOfUnit, programsOfUnit, unitText } from './unit.js';

/** The service manager of the operating system, for this user. */
export interface ServiceManager {
  readonly name: string;
  /** The path of a service's unit file. */
  path(unit: string): string;
  text(spec: ServiceSpec): string;
  /** The configuration in a file that Portal wrote; undefined for other files. */
  fileOf(text: string): string | undefined;
  programsOf(text: string): string[];
  /** Why the manager does not run for this user; undefined if it runs. */
  absent(): Promise<string | undefined>;
  isActive(unit: string): Promise<boolean>;
  isEnabled(unit: string): Promise<boolean>;
  /** Loads the written file, enables the service at system start, and restarts it. */
  start(unit: string): Promise<void>;
  /** Stops and disables the service. */
  stop(unit: string): Promise<void>;
  /** Call it after the file is removed. */
  forget(): Promise<void>;
  /** How to start the service at boot, before the user logs in; undefined if it does. */
  bootHint(): Promise<string | undefined>;
  /** The command that shows its output. */
  logs(unit: string): string;
}

/** Throws `usage` on a platform without a supported service manager. */
export function serviceManager(env: NodeJS.ProcessEnv, platform = process.platform): ServiceManager {
  if (platform === 'linux') return systemd(env);
  if (platform === 'darwin') return launchd(env);
  throw new PortalError('usage', `portal service does not support ${platform}`, {
    hint: 'Configure your system to run `portal up --file FILE` at its start.',
  });
}

function systemd(env: NodeJS.ProcessEnv): ServiceManager {
  const { XDG_CONFIG_HOME: xdg = '' } = env;
  const config = isAbsolute(xdg) ? xdg : join(homeFolder(env), '.config');
  const run = runner(env);
  const systemctl = (...args: string[]): Promise<ProgramResult> => run(['systemctl', '--user', ...args]);
  const must = async (...args: string[]): Promise<void> => {
    const ran = await systemctl(...args);
    if (!ran.ok) throw failed(`systemctl --user ${args.join(' ')}`, ran);
  };
  return {
    name: 'systemd',
    path: (unit) => join(config, 'systemd/user', `${unit}.service`),
    text: unitText,
    fileOf: fileOfUnit,
    programsOf: programsOfUnit,
    absent: async () => {
      const { stdout, why } = await systemctl('is-system-running');
      // A manager that is starting, or has failed units, exits 1 but accepts requests.
      const state = stdout.trim();
      return state !== '' && !['offline', 'unknown'].includes(state) ? undefined : why || state;
    },
    isActive: async (unit) => (await systemctl('is-active', `${unit}.service`)).ok,
    isEnabled: async (unit) => (await systemctl('is-enabled', `${unit}.service`)).ok,
    start: async (unit) => {
      await must('daemon-reload');
      await must('enable', `${unit}.service`);
      await must('restart', `${unit}.service`);
    },
    stop: (unit) => must('disable', '--now', `${unit}.service`),
    forget: () => must('daemon-reload'),
    bootHint: async () => {
      const user = env['USER'] ?? env['LOGNAME'];
      const args = user === undefined ? [] : [user];
      const { stdout } = await run(['loginctl', 'show-user', ...args, '--property=Linger', '--value']);
      return stdout.trim() === 'yes' ? undefined : `loginctl enable-linger`;
    },
    logs: (unit) => `journalctl --user -u ${unit}`,
  };
}

/** Untested: the project has no Mac. A launchd agent starts when its user logs in. */
function launchd(env: NodeJS.ProcessEnv): ServiceManager {
  const home = homeFolder(env);
  const path = (unit: string): string => join(home, 'Library/LaunchAgents', `${unit}.plist`);
  const domain = `gui/${process.getuid?.()}`;
  const run = runner(env);
  const isLoaded = async (unit: string): Promise<boolean> =>
    (await run(['launchctl', 'print', `${domain}/${unit}`])).ok;
  const stop = async (unit: string): Promise<void> => {
    if (!(await isLoaded(unit))) return;
    const ran = await run(['launchctl', 'bootout', `${domain}/${unit}`]);
    if (!ran.ok) throw failed(`launchctl bootout ${domain}/${unit}`, ran);
  };
  return {
    name: 'launchd',
    path,
    text: (spec) => plistText(spec, home),
    fileOf: fileOfPlist,
    programsOf: programsOfPlist,
    absent: async () => {
      const { ok, why } = await run(['launchctl', 'print', domain]);
      return ok ? undefined : why;
    },
    isActive: isLoaded,
    isEnabled: isLoaded,
    start: async (unit) => {
      await stop(unit);
      const ran = await run(['launchctl', 'bootstrap', domain, path(unit)]);
      if (!ran.ok) throw failed(`launchctl bootstrap ${domain} ${path(unit)}`, ran);
    },
    stop,
    forget: () => Promise.resolve(),
    bootHint: () => Promise.resolve('turn on automatic login: launchd starts the agent when you log in'),
    logs: (unit) => `tail -f ~/Library/Logs/${unit}.log`,
  };
}

function runner(env: NodeJS.ProcessEnv): (command: CommandLine) => Promise<ProgramResult> {
  const find = programFinder(env);
  return async ([program, ...args]) => {
    const path = find(program);
    if (path === undefined) return { ok: false, stdout: '', why: `${program} is not installed` };
    return runProgram([path, ...args]);
  };
}

function failed(command: string, { why }: ProgramResult): PortalError {
  return new PortalError('service_manager_failed', `"${command}" failed: ${why}`);
}
