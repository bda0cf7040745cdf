import { ShareStore } from '../agent/access/share/store.js';
import type { Context } from './context.js';
import { ownIdentity } from './identity-file.js';

/** The share links of the identity of this folder; undefined if there is no identity yet. */
export async function ownShares(
  context: Context,
  file: string | undefined,
): Promise<{ readonly store: ShareStore; readonly address: string } | undefined> {
  const own = await ownIdentity(context, file);
  return own && { store: new ShareStore(own.path), address: own.identity.address };
}
