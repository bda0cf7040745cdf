import type { LoadOptions } from '../config/load.js';
import type { Desired } from '../config/desired.js';
import type { Problem } from '../config/text/problem.js';
import { PortalError } from '../lib/errors.js';
import type { ConfigProblem } from './api.js';
import { load } from './load.js';
import { ConfigInvalid } from './config-invalid.js';

/**
 * Validates a configuration that a program or a command line describes, like a file. Rejects with its first problem; `worded`
 * changes its words.
 */
export async function loadDocument(
  document: unknown,
  surroundings: Pick<LoadOptions, 'cwd' | 'env'>,
  worded: (problem: Problem) => Pick<Problem, 'message' | 'hint'> = (problem) => problem,
): Promise<Desired> {
  try {
    return (await load(documentOptions(document, surroundings))).desired;
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    const [problem] = error.problems;
    const { message, hint } = worded(problem!);
    const code = problem!.code === 'config_invalid' ? 'usage' : problem!.code;
    throw new PortalError(code, message, hint === undefined ? {} : { hint });
  }
}

/** Options for loading an object instead of a file. Throws `usage` if JSON cannot express it. */
export function documentOptions<Options extends LoadOptions>(document: unknown, options: Options): Options {
  let text: string;
  try {
    // JSON is YAML.
    text = JSON.stringify(document);
  } catch (error) {
    throw new PortalError('usage', `the configuration is not plain data: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return { ...options, file: '-', stdin: () => Promise.resolve(text), literal: true };
}

/** The errors of an object: with their paths, but without lines. */
class ObjectInvalid extends PortalError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly Problem[]) {
    super('config_invalid', describe(problems));
    this.problems = problems.map(({ path, code, message, hint }) => ({
      path,
      code,
      message,
      ...(hint !== undefined && { hint }),
    }));
  }
}

/** The same error, with the first mistake in its message: a program may print nothing else. */
export function explained(error: unknown, isObject: boolean): unknown {
  if (error instanceof PortalError && error.code === 'config_not_found')
    // A program has no option -f.
    return new PortalError(error.code, error.message, {
      cause: error,
      hint: 'Check the path, or run `portal init` to create a file.',
    });
  if (!(error instanceof ConfigInvalid)) return error;
  if (isObject) return new ObjectInvalid(error.problems);
  return new ConfigInvalid(error.problems, describe(error.problems), error.code, { cause: error });
}

function describe(problems: readonly Problem[]): string {
  const [first, ...more] = problems;
  const { file, line, column, path, message } = first!;
  const place = file === '<stdin>' ? path : `${file}:${line}:${column}`;
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  return `${place === '' ? '' : `${place}: `}${message}${others}`;
}
