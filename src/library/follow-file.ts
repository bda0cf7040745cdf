import type { Desired } from '../config/desired.js';
import { followConfig } from '../config/files/follow.js';
import type { LoadOptions, LoadResult } from '../config/load.js';
import type { Problem } from '../config/text/problem.js';
import { asPortalError, type PortalError } from '../lib/errors.js';
import type { Gate } from './admission.js';
import type { Loaded } from './load.js';
import type { Session } from './session.js';

/** Gets what no event carries: problems with code frames, and warnings. */
export interface FollowReporter {
  problems(problems: readonly Problem[], severity?: 'error' | 'warning'): void;
  warning(message: string): void;
}

export interface FollowFile {
  readonly loading: LoadOptions;
  /** The configuration at the start. */
  readonly loaded: Loaded;
  readonly gate: Pick<Gate<unknown>, 'admit' | 'inputs'>;
  readonly select: (desired: Desired) => Desired;
  readonly reporter: FollowReporter;
}

/** Applies each save until the session closes. Reports a save with errors, and changes nothing. */
export async function followFile(
  session: Session,
  { loading, loaded, gate, select, reporter }: FollowFile,
): Promise<void> {
  const onError = (error: unknown): void => {
    const { message } = asPortalError(error);
    session.log.error({ error: message }, 'watching the configuration failed');
    reporter.warning(`Portal may not notice changes to the configuration: ${message}`);
  };
  const reject = (problems: readonly Problem[]): void => {
    reporter.problems(problems);
    session.runner.reject(problems);
  };
  const onLoaded = (result: LoadResult): void => {
    if (!result.ok) return reject(result.problems.map(deleted));
    const refusal = session.refusal(result.desired);
    if (refusal) return reject([placed(result.file, refusal)]);
    reporter.problems(result.warnings, 'warning');
    session.change(select(result.desired)).catch(onError);
  };
  try {
    await followConfig({
      load: loading,
      initial: loaded,
      admit: (result) => gate.admit(result),
      alsoWatch: await gate.inputs(loaded),
      signal: session.closing,
      onLoaded,
      onError,
    });
  } catch (error) {
    // Services keep running; only the watch ended.
    onError(error);
  }
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
