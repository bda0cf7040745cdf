import { access } from 'node:fs/promises';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { PortalError } from '../../lib/errors.js';
import { lockFileOf } from './lock.js';
import { checkTrusted, self, type Person, type Trusted } from '../permissions/trusted.js';

/** The source of the configuration: a file, or standard input. */
export type Found =
  | {
      readonly kind: 'file';
      /** Absolute. */
      readonly path: string;
      /** For display: as given, or relative to the working directory. */
      readonly shown: string;
      /** Called again when each file is read, because it may have changed since the search. */
      readonly trusted?: Trusted | undefined;
    }
  | { readonly kind: 'stdin' };

export interface FindOptions {
  /** `-f FILE`; `-` is standard input. */
  readonly file?: string | undefined;
  /** A previous search found `file` in the current folder or a parent; the user did not name it. */
  readonly isFound?: boolean;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Default: the user of this process. */
  readonly person?: Person;
}

export const FILE_NAMES = ['portal.yaml', 'portal.yml'] as const;

/**
 * `-f FILE`, else `PORTAL_FILE`, else portal.yaml or portal.yml in this or the nearest parent directory. Does not
 * check whether a named file exists, because reading it will.
 *
 * @throws PortalError config_not_found, config_untrusted
 */
export async function findConfig(options: FindOptions): Promise<Found> {
  const named = options.file ?? (options.env['PORTAL_FILE'] || undefined);
  if (named === '-') return { kind: 'stdin' };
  const cwd = resolve(options.cwd);
  if (named !== undefined) {
    const path = resolve(cwd, named);
    const trusted = options.isFound ? await checkedTrust(path, cwd, options) : undefined;
    return { kind: 'file', path, shown: named, trusted };
  }
  for (const directory of upwards(cwd)) {
    for (const name of FILE_NAMES) {
      const path = join(directory, name);
      if (!(await exists(path))) continue;
      const trusted = await checkedTrust(path, cwd, options);
      return { kind: 'file', path, shown: relative(options.cwd, path), trusted };
    }
  }
  throw new PortalError(
    'config_not_found',
    `no portal.yaml or portal.yml in ${options.cwd} or any directory above it`,
    { hint: 'Run `portal init` to create one, or name it with -f FILE.' },
  );
}

async function checkedTrust(
  path: string,
  cwd: string,
  { person, env }: FindOptions,
): Promise<Trusted | undefined> {
  return dirname(path) === cwd ? undefined : checkTrusted(besides(path), cwd, person ?? self(env));
}

/** The file and the files that Portal reads with it. */
const besides = (path: string): string[] => [path, overlayOf(path), dotenvOf(path), lockFileOf(path)];

/** `portal.yaml` → `portal.local.yaml`. */
export function overlayOf(path: string): string {
  const extension = extname(path);
  return `${path.slice(0, path.length - extension.length)}.local${extension}`;
}

export const dotenvOf = (path: string): string => join(dirname(path), '.env');

function* upwards(directory: string): Generator<string> {
  yield directory;
  const parent = dirname(directory);
  if (parent !== directory) yield* upwards(parent);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
