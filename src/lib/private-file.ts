/** Files that are made once and kept: never half-written, and where they hold a key, their owner's alone. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMissing, PortalError, systemCode, type ErrorCode } from './errors.js';

export const PRIVATE_MODE = 0o600;

/**
 * The text of `file`, or undefined when it does not exist. Throws `unsafe` when other users have any access
 * to it (POSIX only: Windows keeps no such mode); the hint holds the command that mends it.
 */
export async function readPrivateFile(file: string, unsafe: ErrorCode): Promise<string | undefined> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    // Of the open handle, so that what is checked is what is read.
    const { mode } = await handle.stat();
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8);
      throw new PortalError(unsafe, `${file} is open to other users (mode ${octal})`, {
        hint: `Run: chmod 600 ${shellQuote(file)}. If others may have read it, replace it.`,
      });
    }
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/** What to do where a file is there, and this user may not read it; undefined for other errors. */
export function explainUnreadable(
  file: string,
  error: unknown,
): { message: string; hint: string } | undefined {
  if (systemCode(error) !== 'EACCES') return undefined;
  const uid = process.getuid?.();
  return {
    message: `${uid === undefined ? 'this user' : `user ${uid}`} may not read ${file}`,
    hint: "Set HOME or PORTAL_HOME to this user's own folder, or let this user read the file.",
  };
}

/**
 * Writes `file` unless it exists, and says whether it did. Whoever reads it sees all of it or none: of two
 * processes that start at once one wins, and the other reads what the winner wrote. Folders on the way are
 * made for their owner alone. Throws `state_unwritable`.
 */
export function createFile(file: string, content: string, mode: number): Promise<boolean> {
  return throughTemporary(file, content, mode, async (temporary) => {
    try {
      // A link, unlike a rename, fails when the name is taken.
      await link(temporary, file);
      return true;
    } catch (error) {
      if (systemCode(error) === 'EEXIST') return false;
      throw error;
    }
  });
}

/** Writes `file` in place of whatever is there, in one step. Throws `state_unwritable`. */
export function replaceFile(file: string, content: string, mode: number): Promise<void> {
  return throughTemporary(file, content, mode, (temporary) => rename(temporary, file));
}

/**
 * Makes `folder` and those on the way to it, for their owner alone; one that is there is left as it is.
 * Step by step, because Node's recursive mkdir never ends where a folder is there and yet takes no other (/proc).
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
    // Made in the meantime, or there all along: a root or a read-only disk has codes of its own for that.
    const isFolder = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) throw error;
  }
}

/** Has `publish` bring a complete, synced copy of the content under its final name. */
async function throughTemporary<T>(
  file: string,
  content: string,
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
    const why = systemCode(error) ?? String(error);
    throw new PortalError('state_unwritable', `${file} cannot be written (${why})`, { cause: error });
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** `text` as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
