import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { dnsLabel, variables, type VariableSources } from './variables.js';

const ADDRESS = '0xABcd31b8ED16256DE8a3f97A99BA7206788143e0';

function value(name: string, about: Partial<VariableSources> = {}): string | undefined {
  return variables({ env: {}, folder: '/nowhere', address: ADDRESS, ...about })(name);
}

async function repository(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portal-git-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

describe('${user}', () => {
  it('is PORTAL_USER, else the user of git, else the login', () => {
    expect(value('user', { env: { PORTAL_USER: 'Zoë K' }, gitUser: () => 'Ann' })).toBe('zoe-k');
    expect(value('user', { gitUser: () => 'Ann Lee' })).toBe('ann-lee');
  });

  it.each(['root', 'Node', 'ubuntu'])('is never only the shared login %s', (name) => {
    expect(value('user', { gitUser: () => name })).not.toBe(dnsLabel(name));
    expect(value('user', { env: { PORTAL_USER: name } })).toBe(dnsLabel(name));
  });

  it('adds digits of the identity to a shared login', () => {
    const login = dnsLabel(userInfo().username);
    const shared = ['root', 'node', 'runner', 'ubuntu'].includes(login);
    expect(value('user')).toBe(shared ? `${login}-abcd` : login);
  });
});

describe('${id}', () => {
  it('is the beginning of the identity’s address', () => {
    expect(value('id')).toBe('abcd31b8');
  });

  it('is all zeros before an identity exists', () => {
    expect(value('id', { address: undefined })).toBe('00000000');
  });
});

describe('${branch}', () => {
  it('is the branch of the repository around the folder, as one label', async () => {
    const folder = await repository({ '.git/HEAD': 'ref: refs/heads/feature/Login_2\n', 'app/x': '' });
    expect(value('branch', { folder: join(folder, 'app') })).toBe('feature-login-2');
  });

  it('is found from a worktree', async () => {
    const folder = await repository({
      '.git/worktrees/w/HEAD': 'ref: refs/heads/fix\n',
      'w/.git': 'gitdir: ../.git/worktrees/w\n',
    });
    expect(value('branch', { folder: join(folder, 'w') })).toBe('fix');
  });

  it('is the branch that CI names on a detached commit, else the short commit', async () => {
    const folder = await repository({ '.git/HEAD': `${'a1b2c3d4e5'.repeat(4)}\n` });
    expect(value('branch', { folder, env: { GITHUB_HEAD_REF: 'topic' } })).toBe('topic');
    expect(value('branch', { folder })).toBe('a1b2c3d');
  });

  it('is not set outside a repository', () => {
    expect(value('branch')).toBeUndefined();
  });
});
