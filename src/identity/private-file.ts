/** Files that hold a private key: readable by their owner alone, and never half-written. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PortalError, systemCode, type ErrorCode } from '../lib/errors.js';

/**
 * The text of `file`, or undefined when it does not exist. Throws `unsafe` when other users have any access
 * to it (POSIX only: Windows keeps no such mode); the message holds the command that mends it.
 */
export async function readPrivateFile(file: string, unsafe: ErrorCode): Promise<string | undefined> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    // Of the open handle, so that what is checked is what is read.
    const { mode } = await handle.stat();
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8);
      throw new PortalError(
        unsafe,
        `${file} is open to other users (mode ${octal}); run: chmod 600 ${shellQuote(file)}`,
      );
    }
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

/**
 * Writes `file` (mode 0600) unless it exists, and says whether it did. Whoever reads the file sees all of it
 * or none: of two processes that start at once one wins, and the other reads what the winner wrote.
 * Throws `state_unwritable`.
 */
export async function createPrivateFile(file: string, content: string): Promise<boolean> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // A link, unlike a rename, fails when the name is taken.
    await link(temporary, file);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw new PortalError(
      'state_unwritable',
      `${file} cannot be written (${systemCode(error) ?? String(error)})`,
      {
        cause: error,
      },
    );
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/** `text` as one word of a POSIX shell. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
