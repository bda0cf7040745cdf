/** Files that are created once and kept: never half-written, and readable only by their owner if they contain a key. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMissing, PortalError, systemCode, type ErrorCode } from './errors.js';
import { shellQuote } from './shell-quote.js';

export const PRIVATE_MODE = 0o600;

/**
 * The text of `file`, or undefined if it does not exist. Throws `unsafe` if other users have any access to it (POSIX only:
 * Windows has no such mode). The hint has the command that fixes it.
 */
export async function readPrivateFile(file: string, unsafe: ErrorCode): Promise<string | undefined> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    // Checks the open handle, so that the checked file is the one that is read.
    const { mode } = await handle.stat();
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8);
      throw new PortalError(unsafe, `${file} is open to other users (mode ${octal})`, {
        hint: `Run: chmod 600 ${shellQuote(file)}. If someone may have read it, replace it.`,
      });
    }
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/** What to do if this user cannot read an existing file; undefined for other errors. */
export function explainUnreadable(
  file: string,
  error: unknown,
): { message: string; hint: string } | undefined {
  if (systemCode(error) !== 'EACCES') return undefined;
  const uid = process.getuid?.();
  return {
    message: `${uid === undefined ? 'this user' : `user ${uid}`} cannot read ${file}`,
    hint: "Set HOME or PORTAL_HOME to this user's own folder, or give this user permission to read the file.",
  };
}

/**
 * Writes `file` unless it exists; returns whether it did. A reader sees all of it or nothing: if two processes start
 * together, one wins and the other reads its content. Creates missing folders for the owner only. Throws
 * `state_unwritable`.
 */
export function createFile(file: string, content: string, mode: number): Promise<boolean> {
  return throughTemporary(file, content, mode, async (temporary) => {
    try {
      // Unlike a rename, a link fails if the name exists.
      await link(temporary, file);
      return true;
    } catch (error) {
      const code = systemCode(error);
      if (code === 'EEXIST') return false;
      if (code !== undefined && NO_LINKS.has(code)) throw onForeignDisk(file, code, error);
      throw error;
    }
  });
}

/** What systems report for a hard link on FAT or exFAT. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** On such a file system, every user could read a key. */
function onForeignDisk(file: string, code: string, cause: unknown): PortalError {
  return new PortalError(
    'state_unwritable',
    `${file} cannot be written: its file system has no hard links (${code})`,
    {
      cause,
      hint: 'File systems for memory cards (FAT, exFAT) have no permissions, so other users could read your keys. Set PORTAL_HOME to a folder on a disk of this machine.',
    },
  );
}

/**
 * Prepares `file` for a library that writes it: creates it empty for its owner only, or removes other users' access. Errors
 * are left to the library, which reports that it cannot open the file.
 */
export async function keepPrivate(file: string, { create = false } = {}): Promise<void> {
  // Read access suffices for chmod, so a read-only file does not fail here.
  const flags = create ? constants.O_RDONLY | constants.O_CREAT : constants.O_RDONLY;
  const handle = await open(file, flags, PRIVATE_MODE).catch(() => undefined);
  if (!handle) return;
  try {
    const { mode } = await handle.stat();
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) await handle.chmod(mode & 0o700);
  } catch {
    // The file belongs to another user.
  } finally {
    await handle.close();
  }
}

/** Replaces `file` in one step. Throws `state_unwritable`. */
export function replaceFile(file: string, content: string | Buffer, mode: number): Promise<void> {
  return throughTemporary(file, content, mode, (temporary) => rename(temporary, file));
}

/**
 * Creates `folder` and its missing parents, for the owner only. Leaves existing folders as they are. Step by step, because
 * Node's recursive mkdir never ends in a folder such as /proc, which exists and accepts no new folders.
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  const make = (): Promise<void> => mkdir(folder, { mode: 0o700 });
  try {
    await make().catch(async (error: unknown) => {
      if (systemCode(error) !== 'ENOENT' || dirname(folder) === folder) throw error;
      await makePrivateFolder(dirname(folder));
      await make();
    });
  } catch (error) {
    // It may exist by now. For the root or a read-only disk, mkdir fails with other codes.
    const isFolder = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) throw error;
  }
}

/** Writes and syncs a temporary copy of the content, and calls `publish` to move it to its final name. */
async function throughTemporary<T>(
  file: string,
  content: string | Buffer,
  mode: number,
  publish: (temporary: string) => Promise<T>,
): Promise<T> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await makePrivateFolder(dirname(file));
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return await publish(temporary);
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const why = systemCode(error) ?? String(error);
    throw new PortalError('state_unwritable', `${file} cannot be written (${why})`, { cause: error });
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}
