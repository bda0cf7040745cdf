import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TestContext } from 'vitest';
import { programFor } from './debian.js';

/** A user id without an account. */
export const OTHER_UID = 12345;

/** A prefix that runs a command as that user. Skips the test, with the reason, if that is impossible. */
export async function asOtherUser(context: TestContext): Promise<readonly [string, ...string[]]> {
  if (process.getuid?.() !== 0) context.skip('only root can switch users or create namespaces');
  await programFor(context, 'setpriv');
  const uid = String(OTHER_UID);
  const as = ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups'] as const;
  const canRead = await promisify(execFile)(as[0], [...as.slice(1), 'test', '-r', import.meta.filename]).then(
    () => true,
    () => false,
  );
  if (!canRead) context.skip('other users cannot read this checkout');
  return as;
}
