import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { LoadOptions, LoadResult } from '../config/load.js';
import type { Problem } from '../config/problem.js';
import { fromPointer } from '../config/tree.js';
import { isMissing, PortalError, type ErrorCode } from '../lib/errors.js';
import type { AgentKey } from './control/address.js';
import type { Context } from './context.js';
import { ConfigInvalid } from './failure.js';
import { gitUser } from './git-user.js';

export type Loaded = Extract<LoadResult, { ok: true }>;

/** Options for loading portal.yaml in this process. */
export function loadOptions(context: Context, file: string | undefined): LoadOptions {
  const { cwd, env, stdin } = context;
  let read: Promise<string> | undefined;
  return {
    cwd,
    env,
    // A stream can be read once, and a caller may load twice.
    stdin: () => (read ??= text(stdin)),
    gitUser: () => gitUser(cwd, env),
    addressIn: addressIn(context),
    ...(file !== undefined && { file }),
  };
}

function addressIn(context: Context): (file: string | undefined) => Promise<string | undefined> {
  return async (file = context.paths.identityFile) => {
    if (await isAbsent(file)) return undefined;
    // Loading it takes a tenth of the time of `portal validate`.
    const { loadIdentity } = await import('../identity/file.js');
    return (await loadIdentity(file, { create: false })).address;
  };
}

/** Options for running the services: also checks the identity that a service requires. */
export function ownedLoadOptions(
  context: Context,
  file: string | undefined,
  runs: (service: string) => boolean = () => true,
): LoadOptions {
  return { ...loadOptions(context, file), owner: { addressIn: addressIn(context), runs } };
}

const isAbsent = (file: string): Promise<boolean> => stat(file).then(() => false, isMissing);

/**
 * Loads the configuration. Throws `ConfigInvalid` with all problems in the file, or a plain error if there is no
 * readable file.
 */
export async function load(options: LoadOptions): Promise<Loaded> {
  const { loadConfig } = await import('../config/load.js');
  const result = await loadConfig(options);
  if (result.ok) return result;
  const [problem] = result.problems;
  if (problem && ABSENT.has(problem.code)) {
    const { code, message, hint } = problem;
    throw new PortalError(code, message, hint === undefined ? {} : { hint });
  }
  throw new ConfigInvalid(result.problems);
}

const ABSENT: ReadonlySet<ErrorCode> = new Set(['config_not_found', 'config_unreadable', 'config_untrusted']);

/** What can be loaded of the configuration. */
export interface Usable {
  readonly loaded?: Loaded;
  readonly problems: readonly Problem[];
  /** Services that have mistakes, and are not in `loaded`. */
  readonly broken: readonly string[];
}

/** Loads the configuration, without the services that have mistakes. Throws if there is no readable file. */
export async function loadUsable(context: Context, file: string | undefined): Promise<Usable> {
  const options = loadOptions(context, file);
  try {
    return { loaded: await load(options), problems: [], broken: [] };
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    const { problems } = error;
    const broken = brokenServices(problems);
    if (!broken) return { problems, broken: [] };
    const { loadConfig } = await import('../config/load.js');
    const rest = await loadConfig({ ...options, without: broken });
    return { problems, broken, ...(rest.ok && { loaded: rest }) };
  }
}

/** The services with mistakes; undefined if there are mistakes elsewhere. */
function brokenServices(problems: readonly Problem[]): string[] | undefined {
  const names = problems.map(({ path }) => {
    const [key, name] = fromPointer(path);
    return key === 'services' ? name : undefined;
  });
  return names.every((name) => name !== undefined) ? [...new Set(names)] : undefined;
}

/**
 * The key of the agent that runs for a file: the folder's real path, and the file's name as typed. So a symbolic link
 * keeps its agent when it points to another file.
 */
export async function agentKey(file: string): Promise<AgentKey> {
  const folder = dirname(file);
  return { file: join(await realpath(folder).catch(() => folder), basename(file)) };
}
