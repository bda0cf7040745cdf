import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Person } from './cli-support.js';

/** Its folders, from an unusual environment. */
const PLAIN = {
  PORTAL_HOME: '',
  XDG_CONFIG_HOME: '',
  XDG_DATA_HOME: '',
  XDG_STATE_HOME: '',
  XDG_RUNTIME_DIR: '',
};

async function person(): Promise<Person> {
  const someone = await Person.create();
  await writeFile(
    join(someone.folder, 'portal.yaml'),
    'version: 1\nrelays: { embedded: { port: 0 } }\nservices: { web: 3000 }\n',
  );
  return someone;
}

const timeless = (text: string): string => text.replaceAll(/"time":"[^"]*"/g, '');

describe('the folders for files', () => {
  it.each([
    ['PORTAL_HOME=~/kept', { PORTAL_HOME: '~/kept' }, 'me/kept/identity.json'],
    ['a relative PORTAL_HOME', { PORTAL_HOME: 'kept' }, 'kept/identity.json'],
    ['HOME alone', {}, 'me/.config/portal/identity.json'],
    [
      'a relative XDG folder, which is ignored',
      { XDG_CONFIG_HOME: 'xdg' },
      'me/.config/portal/identity.json',
    ],
  ])('follow %s', async (_, env, file) => {
    const someone = await person();
    await mkdir(join(someone.folder, 'me'));
    const { code, stdout } = await someone.run(['identity', 'new', '--json'], {
      env: { ...PLAIN, HOME: join(someone.folder, 'me'), ...env },
    });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ file: join(someone.folder, file) });
    expect((await readdir(someone.folder)).filter((name) => /^~|^xdg$/.test(name))).toEqual([]);
  });

  // Root can write to any folder except these.
  it.each(['/dev/null', '/proc'])('report that nothing can be stored: HOME=%s', async (HOME) => {
    const someone = await person();
    const env = { ...PLAIN, HOME };
    const up = await someone.run(['up'], { env });
    expect(up.code).toBe(1);
    expect(up.stderr).toMatch(
      new RegExp(`${HOME}/\\.config/portal.* cannot be written \\(E\\w+\\).*\\[state_unwritable\\]`),
    );
    expect(up.stderr).toContain('PORTAL_HOME');
    expect((await someone.run(['validate'], { env })).code).toBe(0);
    expect((await someone.run(['status'], { env })).stderr).toContain('[not_running]');
  });

  it('do not depend on language and time zone', async () => {
    const someone = await person();
    const env = { LANG: 'tr_TR.UTF-8', LC_ALL: 'C', TZ: 'Nowhere/Nothing' };
    const [plain, odd] = [
      await someone.run(['plan', '--json']),
      await someone.run(['plan', '--json'], { env }),
    ];
    expect([odd.code, timeless(odd.stdout)]).toEqual([plain.code, timeless(plain.stdout)]);
    expect(odd.stdout).toMatch(/"time":"[-\d]+T[:.\d]+Z"/);
  });
});
