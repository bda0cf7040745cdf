import type { Context } from '../context.js';
import { hintsFor, namedFile } from '../running/for-file.js';
import { jsonReporter } from './json.js';
import { namingFile } from './naming-file.js';
import type { Reporter } from './reporter.js';

export interface OutputOptions {
  /** Lines, on a terminal too. */
  readonly plain?: true;
  /** The configuration that the user named. */
  readonly file?: string;
}

/** Some terminals, for example on build servers, report a width of zero. */
const MIN_COLUMNS = 40;

/** The reporter for the reader: a program, a person at a terminal, or a file. */
export async function createReporter(context: Context, options: OutputOptions): Promise<Reporter> {
  const reporter = await reporterFor(context, options);
  const file = namedFile(context, options.file);
  return file === undefined ? reporter : namingFile(reporter, await hintsFor(context, file));
}

async function reporterFor(context: Context, { plain }: OutputOptions): Promise<Reporter> {
  const { stdout, stderr, verbosity } = context;
  if (context.json) return jsonReporter({ stdout, stderr });
  const { formatProblem } = await import('../../config/text/frame.js');
  const outputs = { stdout, stderr, verbosity, formatProblem };
  if (!plain && verbosity === 'normal' && canDraw(context)) {
    const { terminalReporter } = await import('./terminal.js');
    return terminalReporter({ ...outputs, stdin: context.stdin, env: context.env });
  }
  const { plainReporter } = await import('./plain.js');
  return plainReporter(outputs);
}

/** Progress moves the cursor and wraps lines at the terminal's width. */
function canDraw({ stderr, env }: Context): boolean {
  const { isTTY, columns = 0 } = stderr.stream;
  return isTTY === true && columns >= MIN_COLUMNS && env['TERM'] !== 'dumb' && !env['CI'];
}
