import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useProject } from '../../../test/support/project.js';
import { commandsOf } from '../../agent/spec.js';
import type { LoadOptions } from '../load.js';
import { describePermission } from '../permissions/permissions.js';

const project = useProject('env-file');
const { files, load, loaded, problems } = project;

/** A file that publishes the port `${P}`. */
const config = (envFile: string, web = '${P}'): string =>
  `version: 1\nenvFile: ${envFile}\nservices:\n  web: ${web}\n`;

async function port(options: Partial<LoadOptions> = {}): Promise<number> {
  const [web] = (await loaded(options)).desired.services;
  return web?.target.kind === 'tcp' ? web.target.port : -1;
}

describe('envFile', () => {
  it('overrides .env, and the environment overrides both', async () => {
    await files({ 'portal.yaml': config('dev.env'), '.env': 'P=1', 'dev.env': 'P=2' });
    expect(await port()).toBe(2);
    expect(await port({ env: { P: '3' } })).toBe(3);
  });

  it('may be a list, whose later files override earlier ones and may use their variables', async () => {
    await files({
      'portal.yaml': config('[a.env, { path: b.env }, c.env]'),
      '.env': 'BASE=3',
      'a.env': 'P=1\nMORE=${BASE}0',
      'b.env': 'P=2',
      'c.env': 'P=${MORE}${P}',
    });
    expect(await port()).toBe(302);
  });

  it('can give .env the last word', async () => {
    await files({ 'portal.yaml': config('[defaults.env, .env]'), '.env': 'P=1', 'defaults.env': 'P=2' });
    expect(await port()).toBe(1);
  });

  it('is found from the folder of portal.yaml, and may come from the overlay', async () => {
    await files({
      'app/portal.yaml': config('none.env'),
      'app/portal.local.yaml': 'envFile: ../mine.env',
      'mine.env': 'P=7',
    });
    expect(await port({ file: 'app/portal.yaml' })).toBe(7);
  });

  it('may have variables of the environment and of .env in its path, and none of its own', async () => {
    await files({ 'portal.yaml': config('./${STAGE}.env'), '.env': 'STAGE=dev', 'dev.env': 'P=4\nSTAGE=9' });
    expect(await port()).toBe(4);
    expect(await port({ env: { STAGE: 'dev' } })).toBe(4);
    await files({ 'portal.yaml': config('[dev.env, "${NEXT}.env"]'), 'dev.env': 'P=4\nNEXT=x' });
    expect(await problems()).toMatchObject([
      { line: 2, column: 21, path: '/envFile/1', message: 'the variable NEXT is not set' },
    ]);
  });

  it('reports a missing file at its entry, unless it is not required', async () => {
    await files({ 'portal.yaml': config('[a.env, { path: b.env }]', '1'), 'a.env': '' });
    expect(await problems()).toMatchObject([
      {
        file: 'portal.yaml',
        line: 2,
        column: 26,
        path: '/envFile/1/path',
        code: 'config_invalid',
        message: 'there is no file "b.env"',
        hint: 'Create it. If it may be missing, write `{ path: …, required: false }`.',
      },
    ]);
    await files({ 'portal.yaml': config('{ path: b.env, required: false }', '1') });
    expect(await port()).toBe(1);
    await files({ 'portal.yaml': config('"${STAGE}"', '1') });
    const [problem] = await problems({ env: { STAGE: 'hunter2' } });
    expect(problem?.message).toBe('there is no file at the value of "${STAGE}"');
    expect(JSON.stringify(problem)).not.toContain('hunter2');
  });

  it('reports a file that cannot be read, and a home directory that nothing expands', async () => {
    await files({ 'portal.yaml': config('[a, ~/b.env]', '1'), 'a/x': '' });
    expect(await problems()).toMatchObject([
      { code: 'config_unreadable', path: '/envFile/0', line: 2 },
      { message: '`~` is not expanded to your home directory here', path: '/envFile/1' },
    ]);
  });

  it('reports a malformed line with its file and line, without the value', async () => {
    await files({ 'portal.yaml': config('conf/dev.env', '1'), 'conf/dev.env': 'A=1\nhunter 2\n' });
    const found = await problems({ file: 'portal.yaml' });
    expect(found).toMatchObject([{ file: 'conf/dev.env', line: 2, column: 7 }]);
    expect(found[0]?.frame).toContain('> 2 | ****');
  });

  it('is watched, even while it is missing', async () => {
    await files({ 'portal.yaml': config('[a.env, b.env]', '1'), 'a.env': '' });
    const result = await load();
    expect(result.inputs).toEqual(
      ['portal.yaml', 'portal.local.yaml', '.env', 'a.env', 'b.env'].map((name) => join(project.dir, name)),
    );
  });

  it.each(['5', '[]', '[[a]]', '{ file: a.env }', '""'])(
    'must be a path or a list of paths: %s',
    async (value) => {
      await files({ 'portal.yaml': config(value, '1') });
      expect((await problems())[0]?.path).toMatch(/^\/envFile/);
    },
  );

  it('needs a permission outside of the project', async () => {
    await files({ 'portal.yaml': config('../shared.env', '1') });
    await writeFile(join(project.top, 'shared.env'), 'A=1');
    const { permissions } = await loaded();
    expect(permissions.map(describePermission)).toEqual([`use ${join(project.top, 'shared.env')} (envFile)`]);
  });

  it('keeps a secret of another file out of what relays read', async () => {
    await files({
      'portal.yaml': config('[a.env, b.env]', '{ target: 1, metadata: { n: "${PLAIN}" } }'),
      'a.env': 'DB_PASSWORD=hunter2',
      'b.env': 'PLAIN=$DB_PASSWORD',
    });
    expect((await problems())[0]?.message).toBe('the value of DB_PASSWORD would be sent to a relay');
  });
});

const withCommand = (envFile: string): string =>
  `version: 1\nenvFile: ${envFile}\nservices:\n  web: { command: npm start, env: { A: own } }\n  api: 1\n`;

const commands = async () =>
  (await loaded()).desired.services.flatMap(commandsOf).map(({ command }) => command);

describe('the variables of a command', () => {
  it('are those of envFile, not those of .env', async () => {
    await files({ 'portal.yaml': withCommand('dev.env'), '.env': 'X=1\nY=2', 'dev.env': 'A=1\nB=${X}\nY' });
    expect(await commands()).toMatchObject([{ env: { A: 'own' }, envFile: { A: '1', B: '1', Y: '2' } }]);
  });

  it('change the permission to run it, and do not name a value', async () => {
    await files({ 'portal.yaml': withCommand('dev.env'), 'dev.env': 'B=one' });
    const [one] = (await loaded()).permissions;
    expect(describePermission(one!)).toBe('run npm start (web, with A, with 1 variable of envFile)');
    await files({ 'dev.env': 'B=two' });
    const [two] = (await loaded()).permissions;
    expect(two!.key).not.toBe(one!.key);
    await files({ 'dev.env': '' });
    const [none] = (await loaded()).permissions;
    await files({ 'portal.yaml': withCommand('dev.env').replace('envFile: dev.env\n', '') });
    expect((await loaded()).permissions[0]!.key).toBe(none!.key);
  });

  it('must have a value', async () => {
    await files({ 'portal.yaml': withCommand('dev.env'), 'dev.env': 'B=1\nC=$NONE\n' });
    expect(await problems()).toMatchObject([
      { path: '/envFile', line: 2, message: 'dev.env:2: the variable NONE is not set' },
    ]);
    await files({ 'portal.yaml': config('dev.env', '1') });
    await loaded();
  });
});
