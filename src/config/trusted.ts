import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PortalError } from '../lib/errors.js';

/** Who runs this. */
export interface Person {
  /** Effective user id; undefined where the system has none (Windows): then nothing is checked. */
  readonly uid: number | undefined;
  readonly env: NodeJS.ProcessEnv;
}

export const self = (env: NodeJS.ProcessEnv): Person => ({ uid: process.geteuid?.(), env });

const ROOT = 0;

/**
 * A configuration that was found above the current folder decides what of this machine becomes public, so it must not
 * be another user's: anybody may put a file into a folder such as /tmp. As git does since CVE-2022-24765, files of the
 * person, of root, and of the owner of the current folder are taken; under sudo those of the person who called it.
 * @param files those that count, whether or not they exist, in one folder, which counts as well
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

/** Throws `config_untrusted` where `owner`, whose file `path` is when it is read, is not one of those who are trusted. */
export type Trusted = (path: string, owner: number) => void;

/** Of a symbolic link, its own and that of what it leads to. */
async function ownersOf(path: string): Promise<number[]> {
  const found = await Promise.all([lstat(path), stat(path)].map((one) => one.catch(() => undefined)));
  return found.flatMap((stats) => (stats ? [stats.uid] : []));
}
