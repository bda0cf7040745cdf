import { portalPaths, type Paths } from '../lib/paths.js';

/** What an agent inherits from its process. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly paths: Paths;
}

/** The process of a program. */
export type ProgramProcess = Pick<Surroundings, 'env' | 'cwd'>;

/** @param home the folder of Portal's files. Default: as the environment says. */
export function surroundingsOf({ env: own, cwd }: ProgramProcess, home: string | undefined): Surroundings {
  const env = home === undefined ? own : { ...own, PORTAL_HOME: home };
  return { env, cwd, paths: portalPaths(env) };
}
