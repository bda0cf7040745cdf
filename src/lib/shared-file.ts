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
import { activeNow } from './stalls.js';
import { delay } from './wait.js';

/** A file next to the user's own files, which several processes may change. */

const RETRY_MS = 25;
/** How long to wait for one other writer. */
const WAIT_MS = 3_000;
/** How long to wait for all other writers together. */
const MAX_WAIT_MS = 60_000;
/** A process that began to write this small file must have ended after this time. */
const ABANDONED_MS = 10_000;

/**
 * Replaces the text of `file` with the result of `change` in one step. `change` gets undefined if there is no file, and
 * may return undefined to keep the file unchanged. The new copy is also the lock, like git's `index.lock`: the
 * process that creates it may write, and the next one sees its result. A symbolic link stays one. Throws
 * `state_unwritable`, or the error of `change`.
 */
export async function updateFile(
  file: string,
  change: (text: string | undefined) => string | undefined,
  { waitMs = WAIT_MS }: { waitMs?: number } = {},
): Promise<void> {
  const target = await behindLinks(file);
  const copy = `${target}.new`;
  // Does not count time in which this process was suspended: the other writer may have been suspended too.
  const latest = activeNow() + MAX_WAIT_MS;
  let until = activeNow() + waitMs;
  let writer: string | undefined;
  while (!(await attempt(target, copy, change))) {
    const present = await writerOf(copy);
    if (present === undefined || present !== writer) until = activeNow() + waitMs;
    writer = present;
    if (activeNow() > Math.min(until, latest))
      throw unwritable(file, `another process is writing it, or left ${copy} behind`);
    await delay(RETRY_MS);
  }
}

/** Identifies one writer's copy. The next writer's copy may have the same inode. Undefined: there is no copy. */
const writerOf = (copy: string): Promise<string | undefined> =>
  stat(copy).then(
    ({ ino, mtimeMs }) => `${ino} ${mtimeMs}`,
    () => undefined,
  );

/** False if another process is writing. */
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
    // Read it only now: a writer before us may just have changed it.
    const mode = await modeOf(target);
    const text = mode === undefined ? undefined : await readFile(target, 'utf8');
    const changed = change(text);
    if (changed === undefined || changed === text) return true;
    // Overrides the umask.
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
    // After it is published, or another process removed it, the name may belong to the next writer.
    if (isOurs) await rm(copy, { force: true }).catch(() => undefined);
  }
}

const inodeOf = (file: string): Promise<number | undefined> =>
  stat(file).then(
    ({ ino }) => ino,
    () => undefined,
  );

/** The permissions of `target`; undefined if it does not exist. Throws if it is read-only. */
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

/** Renames it first: if two processes find it, only one removes it, and not a newer copy of the other. */
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

/** The real path of `file`. For a dangling link, the path it points to. */
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
