import { readFile } from 'node:fs/promises';
import { findConfig } from '../../config/files/find.js';
import { PortalError, systemCode } from '../../lib/errors.js';
import type { Context } from '../context.js';
import type { ServiceManager } from './manager.js';
import { unitName } from './spec.js';

export interface ServiceOptions {
  readonly file?: string;
  readonly name?: string;
}

/** The absolute path of the configuration. Throws `usage` for standard input. */
export async function configOf({ cwd, env }: Context, { file }: ServiceOptions): Promise<string> {
  const found = await findConfig({ file, cwd, env });
  if (found.kind === 'file') return found.path;
  throw new PortalError('usage', 'a service needs a configuration file, not standard input', {
    hint: 'Write the configuration to a file, and use -f FILE.',
  });
}

/** The unit's name. With `--name`, the configuration need not exist. */
export async function unitOf(context: Context, options: ServiceOptions): Promise<string> {
  if (options.name !== undefined) return unitName('', options.name);
  return unitName(await configOf(context, options), undefined);
}

/** Reads the unit; undefined if it does not exist. Throws `usage` if Portal did not write it. */
export async function installedUnit(
  manager: ServiceManager,
  unit: string,
): Promise<{ text: string; file: string } | undefined> {
  const path = manager.path(unit);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new PortalError('state_unwritable', `cannot read ${path} (${systemCode(error)})`, {
      cause: error,
    });
  });
  if (text === undefined) return undefined;
  const file = manager.fileOf(text);
  if (file !== undefined) return { text, file };
  throw new PortalError('usage', `${path} was not written by Portal`, {
    hint: 'Choose another name for the service: --name NAME.',
  });
}
