import { stat } from 'node:fs/promises';
import { findConfig } from '../config/files/find.js';
import type { Identity } from '../identity/identity.js';
import { loadIdentity } from '../identity/file.js';
import { confinedPath } from '../lib/confined.js';
import { PortalError, systemCode } from '../lib/errors.js';
import { needAllowed } from './allow/gate.js';
import type { Context } from './context.js';
import { loadOptions } from '../library/load.js';
import { needUsable } from './running/load-usable.js';

/** The identity file of the configuration in this folder, whatever its services are, else the user's own. */
export async function identityFile(context: Context, file: string | undefined): Promise<string> {
  const options = loadOptions(context, file);
  try {
    await findConfig(options);
  } catch (error) {
    if (error instanceof PortalError && error.code === 'config_not_found') return context.paths.identityFile;
    throw error;
  }
  const { loaded } = await needUsable(context, file);
  const { desired } = loaded;
  // `identity export` prints the private key in this file.
  if (desired.identityFile !== undefined)
    await needAllowed(context, loaded, 'Check the file, then run `portal allow`.');
  return desired.identityFile ?? context.paths.identityFile;
}

/** The identity of this folder, with its file. Undefined if there is no identity yet. */
export async function ownIdentity(
  context: Context,
  file: string | undefined,
): Promise<{ readonly path: string; readonly identity: Identity } | undefined> {
  const path = await identityFile(context, file);
  if (!(await isThere(path))) return undefined;
  return { path, identity: await loadIdentity(await confinedPath(path), { create: false }) };
}

/** Whether the file exists. Also true after an error other than ENOENT, which reading the file explains. */
export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: unknown) => systemCode(error) !== 'ENOENT',
  );
