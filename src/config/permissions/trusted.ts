import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PortalError } from '../../lib/errors.js';

/** The user who runs Portal. */
export interface Person {
  /** Effective user id. Undefined on systems without one (Windows), where Portal checks nothing. */
  readonly uid: number | undefined;
  readonly env: NodeJS.ProcessEnv;
}

export const self = (env: NodeJS.ProcessEnv): Person => ({ uid: process.geteuid?.(), env });

const ROOT = 0;

/**
 * A configuration in a parent folder decides what this machine publishes, so it must not belong to another user.
 * Anyone can create a file in a folder such as /tmp. Like git since CVE-2022-24765, accepts files of the current
 * user, of root, and of the owner of the current folder. Under sudo, it also accepts files of the user who called sudo.
 *
 * @param files the files to check, existing or not, all in one folder, which is checked too
 * @throws PortalError config_untrusted
 */
export async function checkTrusted(
  files: readonly string[],
  cwd: string,
  person: Person,
): Promise<Trusted | undefined> {
  const { uid, env } = person;
  if (uid === undefined) return undefined;
  const trusted = new Set([uid, ROOT]);
  const { SUDO_UID } = env;
  if (uid === ROOT && SUDO_UID !== undefined && /^\d+$/.test(SUDO_UID)) trusted.add(Number(SUDO_UID));
  for (const owner of await ownersOf(cwd)) trusted.add(owner);
  const check: Trusted = (path, owner) => {
    if (trusted.has(owner)) return;
    throw new PortalError('config_untrusted', `${path} belongs to another user (uid ${owner})`, {
      hint: `Check it first. To use it anyway, name the file: -f ${files[0]}`,
    });
  };
  for (const path of [...files, dirname(files[0]!)])
    for (const owner of await ownersOf(path)) check(path, owner);
  return check;
}

/** Throws `config_untrusted` if `owner`, the owner of `path` at the time of reading, is not trusted. */
export type Trusted = (path: string, owner: number) => void;

/** For a symbolic link, its owner and the owner of its destination. */
export async function ownersOf(path: string): Promise<number[]> {
  const found = await Promise.all([lstat(path), stat(path)].map((one) => one.catch(() => undefined)));
  return found.flatMap((stats) => (stats ? [stats.uid] : []));
}
