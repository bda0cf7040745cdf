import { readdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { PortalError } from '../../lib/errors.js';
import { portalPaths } from '../../lib/paths.js';
import type { Context } from '../context.js';
import { createProgram } from '../grammar/program.js';
import { capturedOutput } from '../../../test/e2e/cli-support.js';

vi.mock('../../relay/store/sqlite-driver.js', () => ({
  findSqlite: () => Promise.reject(new PortalError('sqlite_missing', 'Node 20.19.0 has no SQLite')),
}));

it('creates no file without SQLite', async () => {
  const home = await mkdtemp(join(tmpdir(), 'portal-relay-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const env = { PORTAL_HOME: home };
  const { output } = capturedOutput();
  const context: Context = {
    argv: [],
    env,
    cwd: home,
    stdin: process.stdin,
    stdout: output,
    stderr: output,
    paths: portalPaths(env),
    json: false,
    verbosity: 'normal',
  };
  const program = createProgram({
    write: () => undefined,
    execute: (load) =>
      async function () {
        await (await load()).run(context, { args: [], options: this.opts() });
      },
  });
  const relay = program.parseAsync(['relay', '--listen', '0'], { from: 'user' });
  await expect(relay).rejects.toMatchObject({ code: 'sqlite_missing' });
  expect(await readdir(home)).toEqual([]);
});
