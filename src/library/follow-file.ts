import type { Desired } from '../config/desired.js';
import { followConfig } from '../config/follow.js';
import type { LoadOptions, LoadResult } from '../config/load.js';
import type { Problem } from '../config/problem.js';
import { asPortalError, type PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { Runner } from '../reconcile/runner.js';
import type { Loaded } from './load.js';
import { restartRequired } from './restart-required.js';

export interface FollowFile {
  readonly loading: LoadOptions;
  /** The configuration at the start. */
  readonly loaded: Loaded;
  /** Checks the permissions of a save, and names more files to watch. */
  readonly gate: {
    admit(result: LoadResult): Promise<LoadResult>;
    inputs(loaded: Loaded): Promise<string[]>;
  };
  readonly select: (desired: Desired) => Desired;
  /** Gets what no event carries: problems with code frames, and warnings. */
  readonly reporter: {
    problems(problems: readonly Problem[], severity?: 'error' | 'warning'): void;
    warning(message: string): void;
  };
}

/** Applies each save. Reports a save with errors, and changes nothing. */
export function followFile({ loading, loaded, gate, select, reporter }: FollowFile) {
  return async (runner: Runner, log: Logger, signal: AbortSignal): Promise<void> => {
    const onError = (error: unknown): void => {
      const { message } = asPortalError(error);
      log.error({ error: message }, 'watching the configuration failed');
      reporter.warning(`Portal may not notice changes to the configuration: ${message}`);
    };
    const reject = (problems: readonly Problem[]): void => {
      reporter.problems(problems);
      runner.reject(problems);
    };
    const onLoaded = (result: LoadResult): void => {
      if (!result.ok) return reject(result.problems.map(deleted));
      const refusal = restartRequired(loaded.desired, result.desired);
      if (refusal) return reject([placed(result.file, refusal)]);
      reporter.problems(result.warnings, 'warning');
      runner.apply(select(result.desired)).catch(onError);
    };
    try {
      await followConfig({
        load: loading,
        initial: loaded,
        admit: (result) => gate.admit(result),
        alsoWatch: await gate.inputs(loaded),
        signal,
        onLoaded,
        onError,
      });
    } catch (error) {
      // Services keep running; only the watch ended.
      onError(error);
    }
  };
}

/** The file existed at the start, so its path is right. */
function deleted(problem: Problem): Problem {
  if (problem.code !== 'config_not_found') return problem;
  return {
    ...problem,
    message: 'the file was deleted or moved',
    hint: 'To change the services, restore it. To stop them, run `portal down`.',
  };
}

function placed(file: string, { code, message, hint }: PortalError): Problem {
  return { file, line: 1, column: 1, path: '/identity', code, message, ...(hint !== undefined && { hint }) };
}
