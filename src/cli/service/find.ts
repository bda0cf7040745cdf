import { readFile } from 'node:fs/promises';
import { findConfig } from '../../config/find.js';
import { PortalError, systemCode } from '../../lib/errors.js';
import type { Context } from '../context.js';
import type { ServiceManager } from './manager.js';
import { unitName } from './spec.js';

export interface ServiceOptions {
  readonly file?: string;
  readonly name?: string;
}

/** The configuration that the options mean, absolute. Throws `usage` for standard input. */
export async function configOf({ cwd, env }: Context, { file }: ServiceOptions): Promise<string> {
  const found = await findConfig({ file, cwd, env });
  if (found.kind === 'file') return found.path;
  throw new PortalError('usage', 'a service needs a configuration file, and standard input is none', {
    hint: 'Write it to a file, and name that: -f FILE.',
  });
}

/** A name alone will do: the configuration may be gone. */
export async function unitOf(context: Context, options: ServiceOptions): Promise<string> {
  if (options.name !== undefined) return unitName('', options.name);
  return unitName(await configOf(context, options), undefined);
}

/** What is in the file of a service; undefined where there is none. Throws `usage` for a file that is not Portal's. */
export async function installedUnit(
  manager: ServiceManager,
  unit: string,
): Promise<{ text: string; file: string } | undefined> {
  const path = manager.path(unit);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new PortalError('state_unwritable', `${path} cannot be read (${systemCode(error)})`, {
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
