import { expect, it } from 'vitest';
import { PortalError } from '../lib/errors.js';
import { checkServices } from './unknown-service.js';

it.each([
  ['webb', 'Did you mean `web`?'],
  ['postgres', 'Services: web, api.'],
  ['dev/portal.yaml', 'To name a file, use `-f dev/portal.yaml`.'],
])('says what to use instead of the service %s', (name, hint) => {
  const check = (): void => checkServices([name], ['web', 'api'], 'the configuration');
  expect(check).toThrow(PortalError);
  expect(check).toThrow(expect.objectContaining({ hint }));
});
