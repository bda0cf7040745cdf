import type { Expose } from './api.js';

/** The package's entry for programs. Loads the rest with the first call, so that it shares the chunks of the command line. */

export const expose: Expose = async (target, options = {}, run = {}) => {
  const { exposeFrom } = await import('./expose.js');
  return exposeFrom({ env: process.env, cwd: process.cwd() }, target, options, run);
};
