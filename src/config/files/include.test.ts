import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useProject } from '../../../test/support/project.js';
import { formatProblem } from '../text/frame.js';
import type { LoadOptions } from '../load.js';
import { describePermission } from '../permissions/permissions.js';

const project = useProject('include');
const { files, loaded, problems } = project;

const MAIN = 'version: 1\ninclude: ./services/*.portal.yaml\n';

const asked = async (): Promise<string[]> => (await loaded()).permissions.map(describePermission);

/** Names and ports of the services. */
const services = async (options?: Partial<LoadOptions>): Promise<string[]> =>
  (await loaded(options)).desired.services.map(
    ({ service, target }) => `${service} ${target.kind === 'tcp' ? target.port : target.path}`,
  );

describe('include', () => {
  it('adds the services of each file, in the order of the list and of names', async () => {
    await files({
      'portal.yaml': 'version: 1\ninclude: [z.yaml, ./services/*.portal.yaml]\nservices: { main: 1 }\n',
      'z.yaml': 'services: { z: 2 }',
      'services/b.portal.yaml': 'version: 1\nservices: { b: 4 }',
      'services/a.portal.yaml': 'x-note: [1]\nservices: { a: 3 }',
      'services/other.yaml': 'services: { other: 5 }',
      'services/empty.portal.yaml': '# nothing yet\n',
    });
    expect(await services()).toEqual(['main 1', 'z 2', 'a 3', 'b 4']);
  });

  it('needs no services in the main file, and a pattern may match none', async () => {
    await files({ 'portal.yaml': MAIN });
    const { desired, warnings } = await loaded();
    expect(desired.services).toEqual([]);
    expect(warnings).toMatchObject([
      { line: 2, column: 10, path: '/include', message: 'no file matches "./services/*.portal.yaml"' },
    ]);
    await files({ 'services/a.portal.yaml': 'services: { a: 3 }' });
    expect(await services()).toEqual(['a 3']);
  });

  it('is watched with its folders, so that new files count', async () => {
    await files({ 'portal.yaml': MAIN, 'services/a.portal.yaml': 'services: { a: 3 }' });
    const { inputs } = await loaded();
    expect(inputs.slice(3)).toEqual([
      join(project.dir, 'services') + sep,
      join(project.dir, 'services/a.portal.yaml'),
    ]);
  });

  it('starts paths from the folder of the included file, and shows them from the main file', async () => {
    await files({
      'portal.yaml': MAIN,
      'services/a.portal.yaml': `
services:
  files: ./public
  socket: unix:./a.sock
  same: unix:/run/a.sock
  home: "\${HOME_OF_A}/public"
  run: { command: npm start }
  below: { target: 1, command: npm start, cwd: ./web }
  certs: { target: 1, hostname: a.example.com, tls: { cert: ./c.pem, key: ../k.pem }, targetTls: { ca: ca.pem } }
  routed: { routes: { /: ./docs, /api: { command: node . } } }
  relayed: { target: 1, relays: [{ url: "https://r.example.com", ca: ./ca.pem }] }
`,
    });
    const { desired, effective } = await loaded({ env: { HOME_OF_A: '.' } });
    const of = (name: string) => desired.services.find(({ service }) => service === name)!;
    const at = (path: string): string => join(project.dir, 'services', path);
    expect(of('files').target).toMatchObject({ folder: at('public') });
    expect(of('home').target).toMatchObject({ folder: at('public') });
    expect(of('socket').target).toMatchObject({ path: at('a.sock') });
    expect(of('same').target).toMatchObject({ path: '/run/a.sock' });
    expect(of('run').command).toMatchObject({ cwd: at('.') });
    expect(of('below').command).toMatchObject({ cwd: at('web') });
    expect(of('certs').tls).toMatchObject({ certFile: at('c.pem'), keyFile: join(project.dir, 'k.pem') });
    expect(of('certs').targetTls).toMatchObject({ caFile: at('ca.pem') });
    expect(of('routed').routes).toMatchObject([
      { target: { folder: at('docs') } },
      { command: { cwd: at('.') } },
    ]);
    expect(of('relayed').relays).toMatchObject([{ caFile: at('ca.pem') }]);
    expect(effective).toMatchObject({
      include: './services/*.portal.yaml',
      services: {
        files: './services/public',
        socket: 'unix:./services/a.sock',
        run: { command: 'npm start', cwd: './services' },
        certs: { tls: { cert: './services/c.pem', key: './k.pem' } },
      },
    });
  });

  it('reports a service that two files have, with both places', async () => {
    await files({
      'portal.yaml': `${MAIN}services:\n  a: 1\n`,
      'services/a.portal.yaml': 'services:\n  a: 2\n  b: 3\n',
      'services/b.portal.yaml': 'services:\n  c: 2\n\n  b: 3\n',
    });
    expect(await problems()).toMatchObject([
      {
        file: 'services/a.portal.yaml',
        line: 2,
        path: '/services/a',
        message: 'the service "a" is a duplicate of line 4 of portal.yaml',
      },
      {
        file: 'services/b.portal.yaml',
        line: 4,
        message: 'the service "b" is a duplicate of line 3 of services/a.portal.yaml',
        hint: 'Rename one of the two. To change a service of another file, use portal.local.yaml.',
      },
    ]);
  });

  it('shows a mistake with the name, line and text of its file', async () => {
    await files({
      'app/portal.yaml': MAIN,
      'app/services/a.portal.yaml': 'services:\n  a:\n    taget: 3000\n    access: { pin: "123456" }\n',
    });
    const [problem] = await problems({ file: 'app/portal.yaml' });
    expect(formatProblem(problem!, { color: false })).toBe(
      [
        'app/services/a.portal.yaml:3:5: unknown key "taget" in service "a"',
        '    1 | services:',
        '    2 |   a:',
        '  > 3 |     taget: 3000',
        '      |     ^^^^^',
        '    4 |     access: { pin: **** }',
        '  hint: Did you mean `target`?',
      ].join('\n'),
    );
  });

  it('reports names that two files use, with the file of the other one', async () => {
    await files({
      'portal.yaml': `${MAIN}services:\n  a: 1\n`,
      'services/b.portal.yaml': 'services:\n  b: { target: 1, name: a }\n',
    });
    expect((await problems())[0]?.message).toBe(
      'the same name as service "a" (line 4 of portal.yaml), on the same relay',
    );
  });

  it.each([
    ['relays: {}', '`relays` belongs in the main file'],
    ['chains: {}', '`chains` belongs in the main file'],
    ['envFile: a.env', '`envFile` belongs in the main file'],
    ['include: b.yaml', 'an included file cannot include others'],
    ['servics: {}', 'unknown key "servics"'],
    ['version: 2', '`version` must be 1'],
    ['services: [a]', '`services` must be a mapping'],
    ['- a', 'the file is not a mapping'],
    ['services: { a: [ }', 'this mapping has no closing `}`'],
  ])('rejects %s in an included file', async (text, message) => {
    await files({ 'portal.yaml': MAIN, 'services/a.portal.yaml': `# first\n${text}\n` });
    const [problem] = await problems();
    expect(problem).toMatchObject({ file: 'services/a.portal.yaml', line: 2 });
    expect(problem?.message).toBe(message);
  });

  it.each([
    ['none.yaml', 'there is no file "none.yaml"'],
    ['portal.yaml', 'the configuration cannot include itself'],
    ['portal.local.yaml', 'the configuration cannot include itself'],
    ['./services', 'services is a folder'],
    ['~/a.yaml', '`~` is not expanded to your home directory here'],
    ['./**/*.yaml', '`**` is not supported in `include`'],
    ['https://example.com/a.yaml', '`include` takes files, not URLs'],
    ['"${FROM}"', 'the variable FROM is not set'],
    ['5', '`include` must be a path, or a list of paths'],
  ])('rejects include: %s', async (value, message) => {
    await files({ 'portal.yaml': `version: 1\ninclude: ${value}\n`, 'services/x': '' });
    const [problem] = await problems();
    expect(problem).toMatchObject({ file: 'portal.yaml', line: 2 });
    expect(problem?.message).toContain(message);
  });

  it('skips folders, its own files and hidden ones in a pattern', async () => {
    await files({
      'portal.yaml': 'version: 1\ninclude: ./*.yaml\nservices: { main: 1 }\n',
      'portal.local.yaml': 'services: { main: 2 }',
      '.hidden.yaml': 'nonsense',
      'folder.yaml/x': '',
      'a.yaml': 'services: { a: 3 }',
    });
    expect(await services()).toEqual(['main 2', 'a 3']);
  });

  it('reads a file once that several entries name', async () => {
    await files({
      'portal.yaml': 'version: 1\ninclude: [./a.yaml, "./?.yaml", a.yaml]\n',
      'a.yaml': 'services: { a: 3 }',
    });
    expect(await services()).toEqual(['a 3']);
  });

  it('may have variables in its paths, including those of envFile', async () => {
    await files({
      'portal.yaml': 'version: 1\nenvFile: dev.env\ninclude: "./${STAGE}.yaml"\n',
      'dev.env': 'STAGE=dev\nP=3001\n',
      'dev.yaml': 'services: { a: "${P}" }',
    });
    expect(await services()).toEqual(['a 3001']);
  });

  it('limits the number and the size of its files', async () => {
    const many = Array.from({ length: 101 }, (_, n) => [`services/${n}.portal.yaml`, '']);
    await files({ 'portal.yaml': MAIN, ...(Object.fromEntries(many) as Record<string, string>) });
    expect(await problems()).toMatchObject([{ message: 'the included files exceed 100 files and 4 MiB' }]);
    const large = Array.from({ length: 5 }, (_, n) => [`large/${n}.yaml`, `# ${'x'.repeat(1_000_000)}`]);
    await files({
      'portal.yaml': 'version: 1\ninclude: ./large/*\n',
      ...(Object.fromEntries(large) as Record<string, string>),
    });
    expect(await problems()).toMatchObject([{ message: 'the included files exceed 100 files and 4 MiB' }]);
  });

  it('lets the overlay change and remove included services, and include others', async () => {
    await files({
      'portal.yaml': MAIN,
      'services/a.portal.yaml': 'services: { a: 3, b: 4 }',
      'portal.local.yaml': 'services: { a: { target: 9, inspect: true }, b: null }',
    });
    expect(await services()).toEqual(['a 9']);
    await files({ 'portal.local.yaml': 'include: mine.yaml', 'mine.yaml': 'services: { mine: 5 }' });
    expect(await services()).toEqual(['mine 5']);
    await files({ 'portal.local.yaml': 'include: null\nservices: { c: 6 }' });
    expect(await services()).toEqual(['c 6']);
  });

  it('lets `portal doctor` omit the services of a conflict', async () => {
    await files({
      'portal.yaml': `${MAIN}services: { a: 1, z: 2 }\n`,
      'services/a.portal.yaml': 'services: { a: 2 }',
    });
    expect(await services({ without: ['a'] })).toEqual(['z 2']);
  });

  it('asks for each command of an included file, and for a file outside of the project', async () => {
    await files({
      'portal.yaml': 'version: 1\ninclude: [a.yaml, ../shared/*.yaml]\n',
      'a.yaml': 'services: { a: 1 }',
    });
    await mkdir(join(project.top, 'shared'));
    await writeFile(join(project.top, 'shared/b.yaml'), 'services: { b: { command: npm start } }');
    const shared = [
      `run npm start (b, in ${join(project.top, 'shared')})`,
      `use ${join(project.top, 'shared/b.yaml')} (include)`,
    ];
    expect(await asked()).toEqual(shared);
    await files({ 'a.yaml': 'services: { a: { command: make } }' });
    expect(await asked()).toEqual(['run make (a)', ...shared]);
    await symlink(join(project.top, 'shared/b.yaml'), join(project.dir, 'link.yaml'));
    await files({ 'portal.yaml': 'version: 1\ninclude: ./link.yaml\n' });
    expect(await asked()).toEqual([
      'run npm start (b)',
      `use ${join(project.top, 'shared/b.yaml')} (include)`,
    ]);
  });

  it('has variables, even where a program gives the main file as data', async () => {
    await files({
      'a.yaml': 'services: { a: { target: "${P}", metadata: { is: "$$" } } }',
      'dev.env': 'P=3001\n',
    });
    const text =
      '{ version: 1, envFile: dev.env, include: a.yaml, services: { b: { target: 1, metadata: { is: "${X}" } } } }';
    const { desired } = await loaded({ file: '-', stdin: async () => text, literal: true });
    expect(desired.services.map(({ target, metadata }) => ({ target, metadata }))).toMatchObject([
      { metadata: { is: '${X}' } },
      { target: { port: 3001 }, metadata: { is: '$' } },
    ]);
  });

  it('is read from the current folder for standard input', async () => {
    await files({ 'services/a.portal.yaml': 'services: { a: 3 }' });
    expect(await services({ file: '-', stdin: async () => MAIN })).toEqual(['a 3']);
  });
});
