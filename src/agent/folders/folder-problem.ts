import { stat } from 'node:fs/promises';
import { confinedPath } from '../../lib/confined.js';
import { asPortalError, isMissing } from '../../lib/errors.js';

/** Why a folder cannot be served. Undefined if it can. */
export async function folderProblem(folder: string): Promise<string | undefined> {
  try {
    const stats = await stat(await confinedPath(folder));
    return stats.isDirectory() ? undefined : `${folder} is not a folder`;
  } catch (error) {
    return isMissing(error) ? `the folder ${folder} does not exist` : asPortalError(error).message;
  }
}
