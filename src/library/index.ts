import type * as api from './api.js';

/** The package's entry for programs. Loads the rest with the first call, so that it shares the chunks of the command line. */

export { PortalError } from '../lib/errors.js';

export const expose: typeof api.expose = async (target, options = {}, run = {}) => {
  const { exposeFrom } = await import('./expose.js');
  return exposeFrom({ env: process.env, cwd: process.cwd() }, target, options, run);
};

export const up: typeof api.up = async (
  configuration?: api.Configuration | string,
  options: api.UpOptions = {},
) => {
  const { upFrom } = await import('./up.js');
  return upFrom({ env: process.env, cwd: process.cwd() }, configuration, options);
};
