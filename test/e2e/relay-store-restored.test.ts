import { spawnSync } from 'node:child_process';
import { access, chmod, chown, constants, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Person } from './cli-support.js';

/** A relay's database that root restored, as the relay's user sees it: real files, another user, a read-only mount. */

const USER = 65_534;
const AS_USER = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];
const PROGRAM = fileURLToPath(new URL('../../bin/portal.js', import.meta.url));
const RELAY = ['relay', '--json', '--listen', '127.0.0.1:0', '--data-dir', 'data'];

/** Why this machine cannot run the test, or undefined. */
function missing(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'root on Linux gives the file to another user';
  for (const file of [PROGRAM, process.execPath])
    if (spawnSync(AS_USER[0]!, [...AS_USER.slice(1), 'test', '-r', file]).status !== 0)
      return `another user, by setpriv, cannot read ${file}`;
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0)
    return 'mount namespaces (unshare --mount) are not permitted';
  return undefined;
}

/** An earlier relay created it, and stopped. */
async function stopped(): Promise<{ operator: Person; file: string }> {
  const operator = await Person.create();
  await chmod(operator.folder, 0o755);
  for (const folder of ['home', 'data']) {
    await mkdir(join(operator.folder, folder), { recursive: true, mode: 0o700 });
    await chown(join(operator.folder, folder), USER, USER);
  }
  const running = operator.start(RELAY, { within: AS_USER });
  await running.event('listening');
  running.kill('SIGTERM');
  expect((await running.finished).code).toBe(0);
  const file = join(operator.folder, 'data', 'relay.db');
  await access(file, constants.R_OK);
  for (const rest of ['-wal', '-shm']) await rm(`${file}${rest}`, { force: true });
  return { operator, file };
}

const why = missing();

describe.skipIf(why !== undefined)(
  `a database that root restored${why === undefined ? '' : ` (skipped: ${why})`}`,
  () => {
    it('is rejected with the fix while root owns it, and accepted once the user owns it', async () => {
      const { operator, file } = await stopped();
      await chown(file, 0, 0);
      await chmod(file, 0o644);
      const { code, stdout } = await operator.run(RELAY, { within: AS_USER });
      expect({ code, stdout }).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('"state_unwritable"'),
      });
      expect(stdout).toContain('chown');
      await chown(file, USER, USER);
      const running = operator.start(RELAY, { within: AS_USER });
      await running.event('listening');
    }, 120_000);

    it('is rejected on a read-only mount', async () => {
      const { operator, file } = await stopped();
      const folder = join(file, '..');
      const mount = `mount --bind "${folder}" "${folder}" && mount -o remount,bind,ro "${folder}" && exec "$@"`;
      const inMount = ['unshare', '--mount', 'sh', '-c', mount, 'sh', ...AS_USER];
      const { code, stdout } = await operator.run(RELAY, { within: inMount });
      expect({ code, stdout }).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('"state_unwritable"'),
      });
    }, 120_000);
  },
);
