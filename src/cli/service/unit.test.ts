import { expect, test } from 'vitest';
import { fileOfPlist, plistText, programsOfPlist } from './plist.js';
import { environmentOf, serviceSpec, unitName, type ServiceSpec } from './spec.js';
import { fileOfUnit, programsOfUnit, unitText } from './unit.js';

const FOLDER = `/srv/a b/100%h $HOME "q" 'x' \\n ü`;
const SPEC: ServiceSpec = {
  unit: 'portal-a',
  file: `${FOLDER}/portal.yaml`,
  command: [`${FOLDER}/node`, `${FOLDER}/portal.js`, 'up', '--file', `${FOLDER}/portal.yaml`],
  folder: FOLDER,
  env: { PORTAL_HOME: FOLDER },
};

test('a unit escapes the special characters of systemd', () => {
  const lines = unitText(SPEC).split('\n');
  const words = String.raw`/srv/a b/100%%h $$HOME \"q\" 'x' \\n ü`;
  expect(lines).toContain(
    `ExecStart="${words.replace('$$', '$')}/node" "${words}/portal.js" "up" "--file" "${words}/portal.yaml"`,
  );
  expect(lines).toContain(`WorkingDirectory=${FOLDER.replace('%', '%%')}`);
  expect(lines).toContain(`Environment="PORTAL_HOME=${words.replace('$$', '$')}"`);
});

test.each([
  ['a unit', unitText(SPEC), fileOfUnit, programsOfUnit],
  ['a plist', plistText(SPEC, '/Users/me'), fileOfPlist, programsOfPlist],
])('%s contains its configuration and its programs', (_, text, fileOf, programsOf) => {
  expect(fileOf(text)).toBe(SPEC.file);
  expect(programsOf(text)).toEqual([`${FOLDER}/node`, `${FOLDER}/portal.js`]);
  expect(fileOf('[Unit]\nDescription=mine\n')).toBeUndefined();
});

test('a plist escapes the special characters of XML', () => {
  const text = plistText({ ...SPEC, folder: '/a & <b>' }, '/Users/me');
  expect(text).toContain('<key>WorkingDirectory</key><string>/a &amp; &lt;b&gt;</string>');
});

test.each([
  ['/srv/My Device!/portal.yaml', undefined, 'portal-my-device'],
  ['/srv/shop/portal.yaml', undefined, 'portal-shop'],
  ['/srv/shop/portal.yaml', 'Shop_2', 'portal-Shop_2'],
  ['/srv/商店/portal.yaml', undefined, expect.stringMatching(/^portal-[0-9a-f]{8}$/)],
])('%s with --name %s is %s', (file, name, unit) => {
  expect(unitName(file, name)).toEqual(unit);
});

const here = (env: NodeJS.ProcessEnv) => ({ cwd: '/home/me/work', env });

test('the service inherits only the variables for folders and proxies', () => {
  const shell = {
    HOME: '/home/me',
    SECRET: 'x',
    XDG_DATA_HOME: '/data',
    XDG_STATE_HOME: 'relative',
    HTTPS_PROXY: 'http://proxy:3128',
  };
  const spec = serviceSpec('/srv/shop/portal.yaml', {}, here(shell));
  expect(spec.env).toEqual({ XDG_DATA_HOME: '/data', HTTPS_PROXY: 'http://proxy:3128' });
  expect(environmentOf(spec, shell)).toEqual({ HOME: '/home/me', ...spec.env });
  expect(serviceSpec('/a/b.yaml', {}, here({ ...shell, PORTAL_HOME: '/p' })).env).toEqual({
    PORTAL_HOME: '/p',
    HTTPS_PROXY: 'http://proxy:3128',
  });
  for (const [written, carried] of [
    ['ca.pem', '/home/me/work/ca.pem'],
    ['/etc/ca.pem', '/etc/ca.pem'],
  ] as const)
    expect(serviceSpec('/a/b.yaml', {}, here({ NODE_EXTRA_CA_CERTS: written })).env).toEqual({
      NODE_EXTRA_CA_CERTS: carried,
    });
});

test('the service serves metrics where the installation said', () => {
  const { command } = serviceSpec('/a/b.yaml', { metrics: '9465' }, here({}));
  expect(command.slice(-4)).toEqual(['--file', '/a/b.yaml', '--metrics', '9465']);
});

test.each([
  '/srv/a\nExecStart=evil/portal.yaml',
  '/srv/a\u001b/portal.yaml',
  '/srv/a\\/portal.yaml',
  '/srv/a /portal.yaml',
])('a unit cannot hold %j', (file) => {
  expect(() => serviceSpec(file, {}, { cwd: '/', env: {} })).toThrow('cannot be in a unit');
});
