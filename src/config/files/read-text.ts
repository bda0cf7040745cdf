import { isUtf8 } from 'node:buffer';
import { open, opendir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { cannotRead, PortalError, systemCode, unreadableHint } from '../../lib/errors.js';
import { readBounded } from '../../lib/read-bounded.js';
import { ownersOf, type Trusted } from '../permissions/trusted.js';
import { MAX_FILE_BYTES } from '../text/yaml.js';

/** Reads the files that the configuration names as parts of it. `portal plan --against` reads some from git. */
export interface Files {
  /** The text of a file by its absolute path; undefined if it does not exist. `shown` is for errors. */
  readonly read: (path: string, shown: string) => Promise<string | undefined>;
  /** The names in a folder, sorted. Undefined if it is not a folder. */
  readonly list: (folder: string) => Promise<readonly string[] | undefined>;
}

/** The files on the disk. `trusted` throws for an owner that is not trusted. */
export function filesOnDisk(trusted: Trusted | undefined): Files {
  return {
    async read(path, shown) {
      for (const each of trusted ? [path, dirname(path)] : [])
        for (const owner of await ownersOf(each)) trusted?.(each, owner);
      return readText(path, shown, trusted);
    },
    list: listFolder,
  };
}

/** Far more than a folder of configurations has. */
const MAX_NAMES = 10_000;

async function listFolder(folder: string): Promise<readonly string[] | undefined> {
  const names: string[] = [];
  try {
    for await (const { name } of await opendir(folder)) {
      names.push(name);
      if (names.length > MAX_NAMES)
        throw new PortalError(
          'config_unreadable',
          `${folder} has more than ${MAX_NAMES.toLocaleString('en')} files`,
        );
    }
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new PortalError('config_unreadable', cannotRead(folder, error), { cause: error });
  }
  return names.toSorted();
}

/** The text of a file; undefined if it does not exist. */
export async function readText(path: string, shown: string, trusted?: Trusted): Promise<string | undefined> {
  try {
    const bytes = await readBytes(path, shown, trusted);
    // ASCII in UTF-16 without a byte order mark is also valid UTF-8, with a NUL after every character.
    if (!isUtf8(bytes) || bytes.subarray(0, 4).includes(0)) throw notUtf8(shown);
    return bytes.toString('utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (error instanceof PortalError) throw error;
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new PortalError('config_unreadable', cannotRead(shown, error), {
      cause: error,
      hint:
        unreadableHint(error) ??
        (code === 'EISDIR' ? 'Name the file in this directory.' : 'Check the file and its folder.'),
    });
  }
}

/** Reads up to the limit, because a link may lead to an endless file such as /dev/zero. */
async function readBytes(path: string, shown: string, trusted: Trusted | undefined): Promise<Buffer> {
  const handle = await open(path);
  try {
    trusted?.(path, (await handle.stat()).uid);
    return await readBounded(handle.createReadStream({ autoClose: false }), MAX_FILE_BYTES, () =>
      tooLarge(shown),
    );
  } finally {
    await handle.close();
  }
}

/** A directory named `.env` is a Python virtual environment, which Portal ignores. */
export async function readDotenv(path: string, trusted: Trusted | undefined): Promise<string | undefined> {
  const isDirectory = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  return isDirectory ? undefined : readText(path, path, trusted);
}

export function notUtf8(shown: string): PortalError {
  return new PortalError('config_unreadable', `${shown} is not UTF-8; save it as UTF-8`);
}

export function tooLarge(shown: string): PortalError {
  return new PortalError('config_unreadable', `${shown} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
}
