import { findConfig } from '../config/find.js';
import { PortalError } from '../lib/errors.js';
import type { Context } from './context.js';
import { load, loadOptions } from './load.js';

/** The identity file of the configuration here, or, without one, the person's own. */
export async function identityFile(context: Context, file: string | undefined): Promise<string> {
  const options = loadOptions(context, file);
  try {
    await findConfig(options);
  } catch (error) {
    if (error instanceof PortalError && error.code === 'config_not_found') return context.paths.identityFile;
    throw error;
  }
  const { desired } = await load(options);
  return desired.identityFile ?? context.paths.identityFile;
}
