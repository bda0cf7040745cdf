import { stat } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { LoadOptions, LoadResult } from '../config/load.js';
import { isMissing, PortalError, type ErrorCode } from '../lib/errors.js';
import { ConfigInvalid, countProblems } from './config-invalid.js';
import { gitUser } from './git-user.js';
import type { Surroundings } from './surroundings.js';

export type Loaded = Extract<LoadResult, { ok: true }>;

/** `stdin` is read only if the file is `-`. */
export type Reading = Surroundings & { readonly stdin?: NodeJS.ReadableStream };

/** Options for loading portal.yaml in this process. */
export function loadOptions(surroundings: Reading, file: string | undefined): LoadOptions {
  const { cwd, env } = surroundings;
  let read: Promise<string> | undefined;
  return {
    cwd,
    env,
    // A stream can be read once, and a caller may load twice.
    stdin: () => (read ??= surroundings.stdin ? text(surroundings.stdin) : Promise.resolve('')),
    gitUser: () => gitUser(cwd, env),
    addressIn: addressIn(surroundings),
    ...(file !== undefined && { file }),
  };
}

function addressIn({ paths }: Surroundings): (file: string | undefined) => Promise<string | undefined> {
  return async (file = paths.identityFile) => {
    if (await isAbsent(file)) return undefined;
    // Loading it takes a tenth of the time of `portal validate`.
    const { loadIdentity } = await import('../identity/file.js');
    return (await loadIdentity(file, { create: false })).address;
  };
}

/** Options for running the services: also checks the identity that a service requires. */
export function ownedLoadOptions(
  surroundings: Reading,
  file: string | undefined,
  runs: (service: string) => boolean = () => true,
): LoadOptions {
  return { ...loadOptions(surroundings, file), owner: { addressIn: addressIn(surroundings), runs } };
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
  const { problems, file } = result;
  throw new ConfigInvalid(problems, countProblems(problems), 'config_invalid', { file });
}

const ABSENT: ReadonlySet<ErrorCode> = new Set(['config_not_found', 'config_unreadable', 'config_untrusted']);
