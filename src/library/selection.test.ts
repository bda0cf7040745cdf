import { expect, it } from 'vitest';
import type { Desired } from '../config/desired.js';
import { loadConfig } from '../config/load.js';
import { activeProfiles, checkProfiles, selection } from './selection.js';

const TEXT = `version: 1
services:
  web: { command: x, dependsOn: [api] }
  api: 3001
  mail: { target: 3002, profiles: [debug, mail] }
  e2e: { command: x, profiles: [test], dependsOn: [mail] }
`;

async function desired(): Promise<Desired> {
  const result = await loadConfig({
    file: '-',
    cwd: '/nowhere',
    env: {},
    stdin: () => Promise.resolve(TEXT),
  });
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join());
  return result.desired;
}

it.each([
  [{}, ['web', 'api']],
  [{ profiles: ['debug'] }, ['web', 'api', 'mail']],
  [{ profiles: ['mail', 'debug'] }, ['web', 'api', 'mail']],
  [{ profiles: ['test'] }, ['web', 'api', 'mail', 'e2e']],
  [{ names: ['mail'] }, ['mail']],
  [{ names: ['e2e'] }, ['mail', 'e2e']],
  [{ names: ['web'], profiles: ['debug'] }, ['web', 'api']],
])('selects with %j: %j', async (selected, services) => {
  const chosen = selection({ names: [], profiles: [], ...selected })(await desired());
  expect(chosen.services.map(({ service }) => service)).toEqual(services);
});

it('takes profiles from PORTAL_PROFILES, unless some are given', () => {
  expect(activeProfiles({ PORTAL_PROFILES: 'a,b' }, undefined)).toEqual(['a', 'b']);
  expect(activeProfiles({ PORTAL_PROFILES: 'a,b' }, ['c'])).toEqual(['c']);
  expect(activeProfiles({}, undefined)).toEqual([]);
});

it('rejects a profile that no service has, with the fix', async () => {
  const services = await desired();
  expect(() => checkProfiles(['debug'], services)).not.toThrow();
  expect(() => checkProfiles(['debgu'], services)).toThrow('no service has the profile "debgu"');
});
