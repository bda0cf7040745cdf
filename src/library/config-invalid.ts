import type { Problem } from '../config/text/problem.js';
import { PortalError, type ErrorCode, type PortalErrorOptions } from '../lib/errors.js';

/** All errors of a configuration, with their places. */
export class ConfigInvalid extends PortalError {
  readonly problems: readonly Problem[];
  /** Absolute path of the main file, or `<stdin>`; undefined if not known here. */
  readonly file: string | undefined;

  constructor(
    problems: readonly Problem[],
    message = countProblems(problems),
    code: ErrorCode = 'config_invalid',
    { file, ...options }: PortalErrorOptions & { readonly file?: string } = {},
  ) {
    super(code, message, options);
    this.problems = problems;
    this.file = file;
  }
}

export function countProblems(problems: readonly Problem[]): string {
  const count = problems.length === 1 ? '1 error' : `${problems.length} errors`;
  const files = [...new Set(problems.map((problem) => problem.file))].join(', ');
  return files ? `${count} in ${files}` : count;
}
