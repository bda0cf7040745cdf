import { findConfig } from '../config/find.js';
import { PortalError } from '../lib/errors.js';
import { needAllowed } from './allow/gate.js';
import type { Context } from './context.js';
import { load, loadOptions } from './load.js';

/** The identity file of the configuration in this folder, else the user's own. */
export async function identityFile(context: Context, file: string | undefined): Promise<string> {
  const options = loadOptions(context, file);
  try {
    await findConfig(options);
  } catch (error) {
    if (error instanceof PortalError && error.code === 'config_not_found') return context.paths.identityFile;
    throw error;
  }
  const loaded = await load(options);
  const { desired } = loaded;
  // `identity export` prints the private key in this file.
  if (desired.identityFile !== undefined)
    await needAllowed(context, loaded, 'Check the file, then run `portal allow`.');
  return desired.identityFile ?? context.paths.identityFile;
}
