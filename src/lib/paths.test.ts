import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { portalHome, portalPaths } from './paths.js';

const IN_HOME = {
  identityFile: '/home/me/.config/portal/identity.json',
  knownAgentsFile: '/home/me/.config/portal/known-agents',
  caDir: '/home/me/.local/share/portal/ca',
  acmeDir: '/home/me/.local/state/portal/acme',
  registryDir: '/home/me/.local/state/portal/registry',
  historyDir: '/home/me/.local/state/portal/history',
  heldDir: '/home/me/.local/state/portal/held',
  allowedDir: '/home/me/.local/state/portal/allowed',
  relayDir: '/home/me/.local/state/portal/relay',
  runDir: '/home/me/.local/state/portal/run',
  cacheDir: '/home/me/.cache/portal',
};

test.each([
  ['unset', undefined],
  ['empty', ''],
  ['relative', 'keys'],
])('an XDG folder that is %s is the default one', (_, value) => {
  const xdg = {
    XDG_CONFIG_HOME: value,
    XDG_DATA_HOME: value,
    XDG_STATE_HOME: value,
    XDG_RUNTIME_DIR: value,
    XDG_CACHE_HOME: value,
  };
  expect(portalPaths({ HOME: '/home/me', PORTAL_HOME: '', ...xdg })).toEqual(IN_HOME);
});

test('follows the XDG folders', () => {
  const env = {
    HOME: '/home/me',
    XDG_CONFIG_HOME: '/c',
    XDG_DATA_HOME: '/d',
    XDG_STATE_HOME: '/s',
    XDG_CACHE_HOME: '/k',
  };
  expect(portalPaths({ ...env, XDG_RUNTIME_DIR: '/r' })).toEqual({
    identityFile: '/c/portal/identity.json',
    knownAgentsFile: '/c/portal/known-agents',
    caDir: '/d/portal/ca',
    acmeDir: '/s/portal/acme',
    registryDir: '/s/portal/registry',
    historyDir: '/s/portal/history',
    heldDir: '/s/portal/held',
    allowedDir: '/s/portal/allowed',
    relayDir: '/s/portal/relay',
    runDir: '/r/portal',
    cacheDir: '/k/portal',
  });
});

test.each(['', 'here'])('HOME=%j is not the current folder', (HOME) => {
  expect(portalPaths({ HOME }).identityFile).toBe(
    join(userInfo().homedir, '.config', 'portal', 'identity.json'),
  );
});

test('PORTAL_HOME moves everything; a relative one starts at the current folder', () => {
  expect(portalPaths({ PORTAL_HOME: '/p' }).runDir).toBe('/p/run');
  expect(portalPaths({ PORTAL_HOME: 'p' }).identityFile).toBe(resolve('p/identity.json'));
});

test.each([
  ['~', '/home/me'],
  ['~/p', '/home/me/p'],
  ['~p', resolve('~p')],
  ['/p/~', '/p/~'],
])('PORTAL_HOME=%s is %s', (PORTAL_HOME, home) => {
  expect(portalHome({ HOME: '/home/me', PORTAL_HOME })).toBe(home);
});
