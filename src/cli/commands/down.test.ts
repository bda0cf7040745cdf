import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Context } from '../context.js';
import { run } from './down.js';

it('does not advise to start an agent where it found no agent to stop', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portal-down-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'portal.yaml'), 'version: 1\nservices: { web: 3000 }\n');
  const context = { cwd: folder, env: {}, paths: { runDir: join(folder, 'run') } } as unknown as Context;
  await expect(run(context, { args: [], options: {} })).rejects.toMatchObject({
    code: 'not_running',
    hint: 'There is nothing to stop. Agents of other users, or with another PORTAL_HOME, are not visible here.',
  });
});
