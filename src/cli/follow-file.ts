import type { Desired } from '../config/desired.js';
import { followConfig } from '../config/follow.js';
import type { LoadOptions, LoadResult } from '../config/load.js';
import type { Problem } from '../config/problem.js';
import { asPortalError, type PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { Runner } from '../reconcile/runner.js';
import type { Gate } from './allow/gate.js';
import type { Loaded } from './load.js';
import type { Reporter } from './reporters/reporter.js';
import { restartRequired } from './restart-required.js';

export interface FollowFile {
  readonly loading: LoadOptions;
  /** What was started with. */
  readonly loaded: Loaded;
  readonly gate: Gate;
  readonly select: (desired: Desired) => Desired;
  readonly reporter: Reporter;
}

/** Every save becomes what runs, or, if something is wrong with it, is told and changes nothing. */
export function followFile({ loading, loaded, gate, select, reporter }: FollowFile) {
  return async (runner: Runner, log: Logger, signal: AbortSignal): Promise<void> => {
    const onError = (error: unknown): void => {
      const { message } = asPortalError(error);
      log.error({ error: message }, 'following the configuration failed');
      reporter.warning(`changes of the configuration may go unnoticed: ${message}`);
    };
    const refuse = (problems: readonly Problem[]): void => {
      reporter.problems(problems);
      runner.reject(problems);
    };
    const onLoaded = (result: LoadResult): void => {
      if (!result.ok) return refuse(result.problems);
      const refusal = restartRequired(loaded.desired, result.desired);
      if (refusal) return refuse([placed(result.file, refusal)]);
      reporter.problems(result.warnings);
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
      // What runs goes on without being followed.
      onError(error);
    }
  };
}

function placed(file: string, { code, message, hint }: PortalError): Problem {
  return { file, line: 1, column: 1, path: '/identity', code, message, ...(hint !== undefined && { hint }) };
}
