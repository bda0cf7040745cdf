import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { asPortalError, PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { readDenyList, type DenyList } from '../relay/denied.js';

/** Looked at this often: a file that is replaced, mounted or linked is noticed as well as one that is written. */
const LOOK_EVERY_MS = 1_000;

/** `portal relay --deny`: reads the list, and hands on each that follows. What cannot be read changes nothing. */
export async function followDenyList(
  file: string,
  onList: (list: DenyList) => void,
  log: Logger,
): Promise<() => void> {
  onList(await read(file));
  const lookAgain = async (): Promise<void> => {
    try {
      onList(await read(file));
      log.info({ file }, 'the list of those denied was read again');
    } catch (error) {
      log.error({ file, err: error }, 'the list of those denied is not as it should be');
    }
  };
  const look = (): void => void lookAgain();
  watchFile(file, { interval: LOOK_EVERY_MS, persistent: false }, look);
  return () => unwatchFile(file, look);
}

async function read(file: string): Promise<DenyList> {
  try {
    return readDenyList(await readFile(file, 'utf8'));
  } catch (error) {
    const { message, hint } = asPortalError(error);
    throw new PortalError('usage', `${file}: ${message}`, {
      cause: error,
      ...(hint !== undefined && { hint }),
    });
  }
}
