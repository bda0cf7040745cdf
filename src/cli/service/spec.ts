import { createHash } from 'node:crypto';
import { dirname, basename, isAbsolute, resolve } from 'node:path';
import { dnsLabel } from '../../config/variables/variables.js';
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
  /** Absolute paths of Node and the script, or of the standalone executable; then arguments. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly folder: string;
  /** Variables that the shell sets and the service manager does not. */
  readonly env: Readonly<Record<string, string>>;
}

/** Variables for Portal's folders and for proxies: the service needs the same values as this shell. */
const CARRIED_FOLDERS = ['XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME'] as const;
const CARRIED = ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy', 'NO_PROXY', 'no_proxy'] as const;

/** Variables that every service manager sets. */
const GIVEN = ['HOME', 'USER', 'LOGNAME', 'PATH', 'LANG', 'SHELL', 'XDG_RUNTIME_DIR'] as const;

/** Throws `usage` for text that a unit cannot contain, and for a program in the cache of npx. */
export function serviceSpec(
  file: string,
  { name, metrics }: { readonly name?: string | undefined; readonly metrics?: string | undefined },
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
    command: [...own, 'up', '--file', file, ...(metrics === undefined ? [] : ['--metrics', metrics])],
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

/** Uses the folder's name, or a hash of the path if the name has no letter a–z or digit. */
export function unitName(file: string, name: string | undefined): string {
  if (name !== undefined) return `portal-${name}`;
  const folder = basename(dirname(file));
  const label = /[a-z0-9]/i.test(folder)
    ? dnsLabel(folder)
    : createHash('sha256').update(file).digest('hex').slice(0, 8);
  return `portal-${label}`;
}

/** The environment that the service will have, to check its configuration with it. */
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
  // Relative paths apply to the folder of the configuration, where the service runs.
  const { NODE_EXTRA_CA_CERTS: ca } = env;
  if (ca) set['NODE_EXTRA_CA_CERTS'] = resolve(cwd, ca);
  return set;
}
