import { accessSync, constants, statSync, type Stats } from 'node:fs';
import { dirname, sep } from 'node:path';
import { PortalError, systemCode } from '../lib/errors.js';
import { hasHome, ownFolders, portalHome } from '../lib/paths.js';
import { shellQuote } from '../lib/shell-quote.js';

/** Why a user cannot write to a folder, and how to fix it. */
export interface Unwritable {
  readonly message?: string;
  readonly hint: string;
}

/** A folder that only Portal uses, and how to choose another. */
export interface OwnFolder {
  readonly folder: string;
  /** For example "set PORTAL_HOME to another folder". */
  readonly elsewhere: string;
}

const EXAMPLE = 'a folder this user can write, for example PORTAL_HOME=/var/lib/portal';

/** Adds a hint to `error` if a folder of another user caused it. */
export function explainUnwritable(
  env: NodeJS.ProcessEnv,
  error: PortalError,
  more: readonly OwnFolder[] = [],
): PortalError {
  const path = error.code === 'state_unwritable' ? deniedPath(error) : undefined;
  const why = path === undefined ? undefined : whyUnwritable(env, path, more);
  if (!why) return error;
  return new PortalError(error.code, why.message ?? error.message, { cause: error.cause, hint: why.hint });
}

/** Undefined if the user may write, if the system has no users, or if `path` is outside Portal's folders. */
export function whyUnwritable(
  env: NodeJS.ProcessEnv,
  path: string,
  more: readonly OwnFolder[] = [],
): Unwritable | undefined {
  const uid = process.getuid?.();
  const at = uid === undefined ? undefined : foreignFolder(path, uid);
  if (!at) return undefined;
  const { folder, owner } = at;
  const own = [
    ...more,
    ...ownFolders(env).map((each) => ({ folder: each, elsewhere: 'set PORTAL_HOME to another folder' })),
  ];
  const mine = own.find((each) => isWithin(folder, each.folder));
  if (mine)
    return {
      hint: `${folder} belongs to user ${owner}, and Portal runs as user ${uid}. Run: chown -R ${uid} ${shellQuote(folder)}, or ${mine.elsewhere}.`,
    };
  // Never suggest to change the owner of a folder that Portal does not own, such as / or a home folder.
  const above = own.find((each) => isWithin(path, each.folder) || isWithin(each.folder, path));
  if (!above) return undefined;
  if (more.includes(above))
    return {
      hint: `User ${uid} cannot write to ${folder}. Create ${above.folder} for this user, or ${above.elsewhere}.`,
    };
  if (portalHome(env) !== undefined)
    return {
      hint: `User ${uid} cannot write to ${folder}. Set PORTAL_HOME to a folder this user can write.`,
    };
  if (!hasHome(env))
    return {
      message: `HOME is not set and user ${uid} has no home folder`,
      hint: `Set PORTAL_HOME to ${EXAMPLE}.`,
    };
  return { hint: `User ${uid} cannot write to ${folder}. Set HOME or PORTAL_HOME to ${EXAMPLE}.` };
}

/** The path that the system denied access to. */
function deniedPath({ cause }: PortalError): string | undefined {
  if (systemCode(cause) !== 'EACCES') return undefined;
  const { path } = cause as NodeJS.ErrnoException;
  return typeof path === 'string' ? path : undefined;
}

/** The nearest existing parent of `path`, if it belongs to another user and is not writable. */
function foreignFolder(path: string, uid: number): { folder: string; owner: number } | undefined {
  for (let folder = path; ; folder = dirname(folder)) {
    const found = statOf(folder);
    if (!found?.isDirectory() && dirname(folder) !== folder) continue;
    if (!found || found.uid === uid || isWritable(folder)) return undefined;
    return { folder, owner: found.uid };
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
