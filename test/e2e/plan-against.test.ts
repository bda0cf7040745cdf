/** `portal plan --against`: the files that the configuration names, at a commit of git. */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { Person } from './cli-support.js';

async function repository() {
  const person = await Person.create();
  const git = (...args: string[]): unknown =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], {
      cwd: person.folder,
      stdio: 'ignore',
    });
  git('init');
  return {
    git,
    write: async (texts: Readonly<Record<string, string>>): Promise<void> => {
      for (const [name, text] of Object.entries(texts)) {
        await mkdir(dirname(join(person.folder, name)), { recursive: true });
        await writeFile(join(person.folder, name), text);
      }
    },
    /** Sign, service and kind of each change. A long line continues on the next one. */
    plan: async (): Promise<string[]> => {
      const { stdout, stderr, code } = await person.run(['plan', '--against', 'HEAD']);
      if (code !== 0 && code !== 3) throw new Error(stderr);
      return stdout
        .split('\n')
        .filter((line) => /^\S/.test(line))
        .map((line) => line.split(/ {2,}/).slice(0, 3).join(' '));
    },
  };
}

it('reads the files of envFile from the commit, and untracked ones from the disk', async () => {
  const { git, write, plan } = await repository();
  await write({
    'portal.yaml':
      'version: 1\nenvFile: [conf/a.env, mine.env]\nservices: { web: "${WEB}", mine: "${MINE}" }\n',
    'conf/a.env': 'WEB=3000\n',
    'mine.env': 'MINE=4000\n',
    '.gitignore': 'mine.env\n',
  });
  git('add', '.');
  git('commit', '-m', 'first');
  await write({ 'mine.env': 'MINE=4001\n' });
  expect(await plan()).toEqual([]);
  await write({ 'conf/a.env': 'WEB=3001\n' });
  expect(await plan()).toEqual(['~ web update']);
});

it('reads included files from the commit, including those that a pattern matches', async () => {
  const { git, write, plan } = await repository();
  await write({
    'portal.yaml': 'version: 1\ninclude: [./parts/*.yaml, "./on?.yaml"]\n',
    'parts/a.yaml': 'services: { a: ./public }\n',
    'parts/.hidden.yaml': 'nonsense\n',
    'one.yaml': 'services: { one: 3000 }\n',
  });
  git('add', '.');
  git('commit', '-m', 'first');
  expect(await plan()).toEqual([]);
  await write({
    'parts/a.yaml': 'services: { a: ./dist }\n',
    'parts/b.yaml': 'services: { b: 3001 }\n',
    'one.yaml': 'services: {}\n',
  });
  expect(await plan()).toEqual(['~ a update', '+ b open', '- one close']);
});
