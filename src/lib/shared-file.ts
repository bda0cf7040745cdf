import { randomBytes } from 'node:crypto';
import {
  access,
  constants,
  lstat,
  open,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { asPortalError, PortalError, systemCode } from './errors.js';
import { attendedNow } from './stalls.js';
import { delay } from './wait.js';

/** A file beside somebody's own files, which several processes may add to at once. */

const RETRY_MS = 25;
/** For one other writer. The next one gets as long. */
const WAIT_MS = 3_000;
/** For all other writers together. */
const MAX_WAIT_MS = 60_000;
/** Nobody takes that long to write a small file; whoever began it is gone. */
const ABANDONED_MS = 10_000;

/**
 * Puts what `change` makes of the text of `file` (undefined: there is none) in its place, in one step; undefined leaves
 * it as it is. The copy that takes its place is the lock as well, as git's `index.lock` is: who makes it may write, so that
 * of two at once the second sees what the first wrote. A symbolic link stays one. Throws `state_unwritable`, or
 * what `change` throws.
 */
export async function updateFile(
  file: string,
  change: (text: string | undefined) => string | undefined,
  { waitMs = WAIT_MS }: { waitMs?: number } = {},
): Promise<void> {
  const target = await behindLinks(file);
  const copy = `${target}.new`;
  // Time in which this process had no turn does not count: the other may have had none either.
  const latest = attendedNow() + MAX_WAIT_MS;
  let until = attendedNow() + waitMs;
  let writer: string | undefined;
  while (!(await attempt(target, copy, change))) {
    const present = await writerOf(copy);
    if (present === undefined || present !== writer) until = attendedNow() + waitMs;
    writer = present;
    if (attendedNow() > Math.min(until, latest))
      throw unwritable(file, `another process writes it, or left ${copy}`);
    await delay(RETRY_MS);
  }
}

/** Tells one writer's copy from the next one's, which may get the same inode; undefined: there is no copy. */
const writerOf = (copy: string): Promise<string | undefined> =>
  stat(copy).then(
    ({ ino, mtimeMs }) => `${ino} ${mtimeMs}`,
    () => undefined,
  );

/** False when another process is at it. */
async function attempt(
  target: string,
  copy: string,
  change: (text: string | undefined) => string | undefined,
): Promise<boolean> {
  let handle;
  try {
    handle = await open(copy, 'wx', 0o666);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw unwritable(target, systemCode(error), error);
    await removeAbandoned(copy);
    return false;
  }
  let isOurs = true;
  try {
    // Only now: whoever was here before may just have written it.
    const mode = await modeOf(target);
    const text = mode === undefined ? undefined : await readFile(target, 'utf8');
    const changed = change(text);
    if (changed === undefined || changed === text) return true;
    // Whatever the umask says of new files.
    if (mode !== undefined) await handle.chmod(mode);
    await handle.writeFile(changed);
    await handle.sync();
    isOurs = (await handle.stat()).ino === (await inodeOf(copy));
    if (!isOurs) return false;
    await rename(copy, target);
    isOurs = false;
    return true;
  } catch (error) {
    if (error instanceof PortalError) throw error;
    throw unwritable(target, systemCode(error) ?? asPortalError(error).message, error);
  } finally {
    await handle.close();
    // Once it is published, or was taken from us, the name may be the next writer's.
    if (isOurs) await rm(copy, { force: true }).catch(() => undefined);
  }
}

const inodeOf = (file: string): Promise<number | undefined> =>
  stat(file).then(
    ({ ino }) => ino,
    () => undefined,
  );

/** Its permissions; undefined where there is none yet. One that nobody is to write to is not replaced either. */
async function modeOf(target: string): Promise<number | undefined> {
  try {
    const { mode } = await stat(target);
    if ((mode & 0o222) === 0) throw unwritable(target, 'it is read-only');
    await access(target, constants.W_OK);
    return mode & 0o777;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error instanceof PortalError ? error : unwritable(target, systemCode(error), error);
  }
}

/** Aside first: of two who find it, one alone then removes it, and not what the other made since. */
async function removeAbandoned(copy: string): Promise<void> {
  const age = await stat(copy).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  );
  if (age <= ABANDONED_MS) return;
  const aside = `${copy}.${randomBytes(6).toString('hex')}`;
  await rename(copy, aside).catch(() => undefined);
  await rm(aside, { force: true }).catch(() => undefined);
}

/** Where `file` is in the end; of a link to nothing, where that should be. */
async function behindLinks(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw unwritable(file, systemCode(error), error);
    const isLink = await lstat(file).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    return isLink ? resolve(dirname(file), await readlink(file)) : file;
  }
}

function unwritable(file: string, why: string | undefined, cause?: unknown): PortalError {
  return new PortalError('state_unwritable', `${file} cannot be written (${why ?? 'unknown reason'})`, {
    cause,
  });
}
