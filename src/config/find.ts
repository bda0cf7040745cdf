import { access } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { PortalError } from '../lib/errors.js';

/** Where the configuration is: a file, or standard input. */
export type Found =
  | {
      readonly kind: 'file';
      /** Absolute. */
      readonly path: string;
      /** As the person should see it: as given, or relative to the working directory. */
      readonly shown: string;
    }
  | { readonly kind: 'stdin' };

export interface FindOptions {
  /** `-f FILE`; `-` is standard input. */
  readonly file?: string | undefined;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

export const FILE_NAMES = ['portal.yaml', 'portal.yml'] as const;

/**
 * `-f FILE`, else `PORTAL_FILE`, else portal.yaml or portal.yml here or in the nearest parent directory.
 * A file that was named is not looked for: reading it says whether it is there.
 * @throws PortalError config_not_found
 */
export async function findConfig(options: FindOptions): Promise<Found> {
  const named = options.file ?? (options.env['PORTAL_FILE'] || undefined);
  if (named === '-') return { kind: 'stdin' };
  if (named !== undefined) return { kind: 'file', path: resolve(options.cwd, named), shown: named };
  for (const directory of upwards(resolve(options.cwd))) {
    for (const name of FILE_NAMES) {
      const path = join(directory, name);
      if (await exists(path)) return { kind: 'file', path, shown: relative(options.cwd, path) };
    }
  }
  throw new PortalError(
    'config_not_found',
    `no portal.yaml or portal.yml in ${options.cwd} or any directory above it`,
    { hint: 'Run `portal init` to write one, or name it with -f FILE.' },
  );
}

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
