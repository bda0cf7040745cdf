import { resolve } from 'node:path';
import { PortalError } from '../../lib/errors.js';
import { child, textOf, type Tree } from '../text/tree.js';

/**
 * The address of the identity that a configuration runs with. Undefined before the identity exists, and where its file is
 * unreadable or named by a variable. `trees`: the overlay first, before variables are replaced.
 */
export async function identityAddress(
  trees: readonly Tree[],
  directory: string,
  addressIn: (file: string | undefined) => Promise<string | undefined>,
): Promise<string | undefined> {
  const file = trees.map((tree) => textOf(child(tree, 'identity'))).find((one) => one !== undefined);
  if (file?.includes('$')) return undefined;
  try {
    return await addressIn(file === undefined ? undefined : resolve(directory, file));
  } catch (error) {
    // The agent that runs with this identity file reports its errors.
    if (error instanceof PortalError) return undefined;
    throw error;
  }
}
