import { createHash } from 'node:crypto';
import { dirname, basename, isAbsolute, resolve } from 'node:path';
import { dnsLabel } from '../../config/variables.js';
import { PortalError } from '../../lib/errors.js';
import { portalHome } from '../../lib/paths.js';
import type { Context } from '../context.js';
import { ownCommand } from '../own-command.js';

/** An agent that the service manager of the operating system runs. */
export interface ServiceSpec {
  /** `portal-NAME`: one word. */
  readonly unit: string;
  /** The configuration, absolute. */
  readonly file: string;
  /** Node and its script, or the executable that is both, as absolute paths; and arguments. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly folder: string;
  /** What the shell sets and the service manager does not. */
  readonly env: Readonly<Record<string, string>>;
}

/** Where files are kept, and how relays are reached: the service has to find the same as this shell. */
const CARRIED_FOLDERS = ['XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME'] as const;
const CARRIED = ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy', 'NO_PROXY', 'no_proxy'] as const;

/** What every service manager sets. */
const GIVEN = ['HOME', 'USER', 'LOGNAME', 'PATH', 'LANG', 'SHELL', 'XDG_RUNTIME_DIR'] as const;

/** Throws `usage` for what a unit cannot hold, and for a program that may be gone tomorrow. */
export function serviceSpec(
  file: string,
  name: string | undefined,
  { env, cwd }: Pick<Context, 'env' | 'cwd'>,
): ServiceSpec {
  const own = ownCommand();
  const program = own.at(-1)!;
  if (/[\\/]_npx[\\/]/.test(program))
    throw new PortalError('usage', `${program} is in the cache of npx, which npm may clear`, {
      hint: 'Install Portal first: npm install --global portal-up',
    });
  const folder = dirname(file);
  const spec: ServiceSpec = {
    unit: unitName(file, name),
    file,
    command: [...own, 'up', '--file', file],
    folder,
    env: carried(env, cwd),
  };
  for (const text of [...spec.command, folder, ...Object.values(spec.env)])
    if (/\p{Cc}/u.test(text) || /^\s|[\s\\]$/.test(text))
      throw new PortalError('usage', `${JSON.stringify(text)} cannot be in a unit`, {
        hint: 'Move it to a path without control characters, and without a space or backslash at its end.',
      });
  return spec;
}

/** The folder of the configuration names it; a folder of another script by its hash. */
export function unitName(file: string, name: string | undefined): string {
  if (name !== undefined) return `portal-${name}`;
  const folder = basename(dirname(file));
  const label = /[a-z0-9]/i.test(folder)
    ? dnsLabel(folder)
    : createHash('sha256').update(file).digest('hex').slice(0, 8);
  return `portal-${label}`;
}

/** The environment that the service will have, for a look whether its configuration is complete there. */
export function environmentOf({ env }: ServiceSpec, own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const given = GIVEN.flatMap((key) => (own[key] === undefined ? [] : [[key, own[key]] as const]));
  return { ...Object.fromEntries(given), ...env };
}

function carried(env: NodeJS.ProcessEnv, cwd: string): Record<string, string> {
  const set: Record<string, string> = {};
  const home = portalHome(env);
  if (home !== undefined) set['PORTAL_HOME'] = home;
  else
    for (const key of CARRIED_FOLDERS) {
      const value = env[key];
      if (value !== undefined && isAbsolute(value)) set[key] = value;
    }
  for (const key of CARRIED) {
    const value = env[key];
    if (value) set[key] = value;
  }
  // The service runs in the folder of its configuration.
  const { NODE_EXTRA_CA_CERTS: ca } = env;
  if (ca) set['NODE_EXTRA_CA_CERTS'] = resolve(cwd, ca);
  return set;
}
