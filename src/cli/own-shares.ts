import { stat } from 'node:fs/promises';
import { ShareStore } from '../agent/access/share/store.js';
import { loadIdentity } from '../identity/file.js';
import { confinedPath } from '../lib/confined.js';
import { systemCode } from '../lib/errors.js';
import type { Context } from './context.js';
import { identityFile } from './identity-file.js';

/** The share links of the identity of this folder; undefined if there is no identity yet. */
export async function ownShares(
  context: Context,
  file: string | undefined,
): Promise<{ readonly store: ShareStore; readonly address: string } | undefined> {
  const path = await identityFile(context, file);
  const isThere = await stat(path).then(
    () => true,
    (error: unknown) => systemCode(error) !== 'ENOENT',
  );
  if (!isThere) return undefined;
  const { address } = await loadIdentity(await confinedPath(path), { create: false });
  return { store: new ShareStore(path), address };
}
