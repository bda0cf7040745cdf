import type { Paths } from '../lib/paths.js';

/** What an agent inherits from its process. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly paths: Paths;
}
