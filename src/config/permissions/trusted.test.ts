import {
  chmod,
  chown,
  lchown,
  mkdir,
  mkdtemp,
  realpath,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { followConfig } from '../files/follow.js';
import { loadConfig } from '../load.js';
import { checkTrusted } from './trusted.js';

const [ME, MALLORY, TEAM] = [54_321, 54_322, 54_323];

let top: string;
let cwd: string;

/** `top/portal.yaml` with its files, and the current folder `top/mine/project`. At first root owns everything. */
beforeEach(async (context) => {
  if (process.geteuid?.() !== 0) context.skip('only root can give files to other users');
  top = await realpath(await mkdtemp(join(tmpdir(), 'portal-trust-')));
  onTestFinished(() => rm(top, { recursive: true, force: true }));
  await chmod(top, 0o1777);
  cwd = join(top, 'mine/project');
  await mkdir(cwd, { recursive: true });
  const [main, overlay] = ['version: 1\nservices: { web: 3000 }\n', 'services: { web: 3001 }\n'];
  await writeFile(join(top, 'portal.yaml'), main);
  await writeFile(join(top, 'portal.local.yaml'), overlay);
  await writeFile(join(top, '.env'), 'A=1\n');
  await writeFile(join(top, 'portal.lock'), 'version: 1\nrelays: {}\n');
});

/** The error code, or `ok`. */
async function outcome(
  options: { uid?: number | undefined; env?: NodeJS.ProcessEnv; file?: string; in?: string } = {},
) {
  const { env = {}, file, in: folder = cwd } = options;
  const uid = 'uid' in options ? options.uid : ME;
  const result = await loadConfig({ cwd: folder, env, person: { uid, env }, ...(file && { file }) });
  return result.ok ? 'ok' : result.problems[0]!.code;
}

describe('a configuration above the current folder', () => {
  it('may belong to this user or to root', async () => {
    expect(await outcome()).toBe('ok');
    for (const name of ['', 'portal.yaml', 'portal.local.yaml', '.env', 'portal.lock'])
      await chown(join(top, name), ME, ME);
    expect(await outcome()).toBe('ok');
  });

  it.each(['portal.yaml', 'portal.local.yaml', '.env', 'portal.lock', ''])(
    'is rejected if top/%s belongs to another user',
    async (name) => {
      await chown(join(top, name), MALLORY, MALLORY);
      expect(await outcome()).toBe('config_untrusted');
    },
  );

  it('is rejected if its envFile, or a link to it, belongs to another user', async () => {
    await writeFile(join(top, 'portal.yaml'), 'version: 1\nenvFile: dev.env\nservices: { web: 3000 }\n');
    await writeFile(join(top, 'real.env'), 'A=1\n');
    await symlink('real.env', join(top, 'dev.env'));
    expect(await outcome()).toBe('ok');
    await lchown(join(top, 'dev.env'), MALLORY, MALLORY);
    expect(await outcome()).toBe('config_untrusted');
    await lchown(join(top, 'dev.env'), ME, ME);
    await chown(join(top, 'real.env'), MALLORY, MALLORY);
    expect(await outcome()).toBe('config_untrusted');
  });

  it('is rejected with the file, its owner and the fix', async () => {
    await chown(join(top, 'portal.yaml'), MALLORY, MALLORY);
    const result = await loadConfig({ cwd, env: {}, person: { uid: ME, env: {} } });
    expect(result).toMatchObject({
      ok: false,
      problems: [
        {
          message: `${top}/portal.yaml belongs to another user (uid ${MALLORY})`,
          hint: `Check it first. To use it anyway, name the file: -f ${top}/portal.yaml`,
        },
      ],
    });
  });

  it('is accepted when it is named with -f', async () => {
    await chown(join(top, 'portal.yaml'), MALLORY, MALLORY);
    expect(await outcome({ file: '../../portal.yaml' })).toBe('ok');
    expect(await outcome({ env: { PORTAL_FILE: join(top, 'portal.yaml') } })).toBe('ok');
  });

  it('may belong to the owner of the current folder', async () => {
    for (const name of ['portal.yaml', 'mine/project']) await chown(join(top, name), TEAM, TEAM);
    expect(await outcome()).toBe('ok');
  });

  it('is checked only once in the current folder itself', async () => {
    await chown(join(top, 'portal.yaml'), MALLORY, MALLORY);
    expect(await outcome({ in: top })).toBe('ok');
  });

  it('is rejected if a symbolic link or its target belongs to another user', async () => {
    await rm(join(top, 'portal.yaml'));
    await writeFile(join(cwd, 'elsewhere.yaml'), 'version: 1\nservices: { web: 3000 }\n');
    await symlink(join(cwd, 'elsewhere.yaml'), join(top, 'portal.yaml'));
    expect(await outcome()).toBe('ok');
    await lchown(join(top, 'portal.yaml'), MALLORY, MALLORY);
    expect(await outcome()).toBe('config_untrusted');
    await lchown(join(top, 'portal.yaml'), ME, ME);
    await chown(join(cwd, 'elsewhere.yaml'), MALLORY, MALLORY);
    expect(await outcome()).toBe('config_untrusted');
  });

  it('may belong to the caller of sudo', async () => {
    await chown(join(top, 'portal.yaml'), ME, ME);
    expect(await outcome({ uid: 0 })).toBe('config_untrusted');
    expect(await outcome({ uid: 0, env: { SUDO_UID: String(ME) } })).toBe('ok');
    expect(await outcome({ uid: 0, env: { SUDO_UID: String(MALLORY) } })).toBe('config_untrusted');
    // Any user can set this variable.
    expect(await outcome({ uid: TEAM, env: { SUDO_UID: String(ME) } })).toBe('config_untrusted');
  });

  it.each(['portal.local.yaml', '.env'])(
    'is rejected if another user adds %s beside it while it is watched',
    async (name) => {
      await rm(join(top, name));
      const told: string[] = [];
      const following = await followConfig({
        load: { cwd, env: {}, person: { uid: ME, env: {} } },
        signal: new AbortController().signal,
        onLoaded: (result) => told.push(result.ok ? 'ok' : result.problems[0]!.code),
        onError: (error) => told.push(String(error)),
      });
      onTestFinished(() => following.close());
      expect(told).toEqual(['ok']);
      const mine = join(top, 'mine', name);
      await writeFile(mine, name === '.env' ? 'A=2\n' : 'services: { web: 22 }\n');
      await chown(mine, MALLORY, MALLORY);
      await rename(mine, join(top, name));
      await expect.poll(() => told, { timeout: 10_000 }).toEqual(['ok', 'config_untrusted']);
    },
  );

  it('is rejected if its owner changes between the check and the read', async () => {
    const trusted = await checkTrusted([join(top, 'portal.yaml')], cwd, { uid: ME, env: {} });
    expect(() => trusted?.('.env', ME)).not.toThrow();
    expect(() => trusted?.('.env', MALLORY)).toThrow(/^\.env belongs to another user/);
  });

  it('is not checked on systems without user ids', async () => {
    await chown(join(top, 'portal.yaml'), MALLORY, MALLORY);
    expect(await outcome({ uid: undefined })).toBe('ok');
  });
});
