import { CommanderError } from 'commander';
import type { ErrorSummary } from '../agent/status.js';
import type { Problem } from '../config/text/problem.js';
import type { ProblemSummary } from '../reconcile/events.js';
import { ERRORS } from '../lib/error-codes.js';
import { PortalError, asPortalError, systemCode, type ErrorCode } from '../lib/errors.js';
import { ConfigInvalid, countProblems } from '../library/config-invalid.js';
import type { Context, ExitCode } from './context.js';
import { jsonLine } from './print.js';
import { rewriteParserError } from './grammar/parser-words.js';
import { createStyle, printable } from './text/style.js';
import { explainUnwritable } from './unwritable.js';

/**
 * Prints an error of `command` as text or JSON, and returns its exit code.
 * @param file the configuration that the user named with `-f`, which the commands of a hint need too
 */
export async function reportFailure(
  context: Context,
  thrown: unknown,
  command = 'portal',
  file?: string,
): Promise<ExitCode> {
  const plain =
    thrown instanceof CommanderError
      ? fromCommander(thrown)
      : explainUnwritable(context.env, asPortalError(thrown));
  const error =
    plain.code === 'usage' && plain.hint === undefined
      ? new PortalError('usage', plain.message, { cause: plain.cause, hint: `See ${command} --help.` })
      : plain;
  if (error instanceof ConfigInvalid) await reportProblems(context, await explained(context, error));
  else {
    const summary = await forFile(context, summarizeError(error), file);
    if (context.json)
      context.stdout.data(jsonLine({ time: new Date().toISOString(), event: 'error', ...summary }));
    else reportText(context, error, summary);
  }
  return error.exitCode;
}

async function forFile(
  context: Context,
  { hint, ...error }: ErrorSummary,
  file: string | undefined,
): Promise<ErrorSummary> {
  if (hint === undefined || file === undefined) return { ...error, ...(hint !== undefined && { hint }) };
  const { hintFor, namedFile } = await import('./running/for-file.js');
  return { ...error, hint: await hintFor(context, hint, namedFile(context, file)) };
}

async function explained(context: Context, error: ConfigInvalid): Promise<readonly Problem[]> {
  if (!error.problems.some(({ variable }) => variable !== undefined)) return error.problems;
  const { explainUnset } = await import('./running/unset-variables.js');
  return explainUnset(context, error);
}

/** Prints the warnings of a valid configuration. */
export async function reportWarnings(context: Context, warnings: readonly Problem[]): Promise<void> {
  if (warnings.length === 0 || context.verbosity === 'quiet') return;
  const { formatProblem } = await import('../config/text/frame.js');
  for (const warning of warnings)
    context.stderr.line(formatProblem(warning, { color: context.stderr.color, severity: 'warning' }));
}

/** Prints the problems of an invalid file with code frames; in JSON, a `rejected` event. */
async function reportProblems(context: Context, problems: readonly Problem[]): Promise<void> {
  if (context.json) {
    const errors = problems.map(summarizeProblem);
    context.stdout.data(jsonLine({ time: new Date().toISOString(), event: 'rejected', errors }));
    return;
  }
  const { formatProblem } = await import('../config/text/frame.js');
  const style = createStyle(context.stderr.color);
  for (const problem of problems) {
    context.stderr.line(formatProblem(problem, { color: context.stderr.color }));
    context.stderr.line();
  }
  context.stderr.line(style.red(countProblems(problems)));
}

export function summarizeProblem(problem: Problem): ProblemSummary {
  const { frame: _, ...summary } = problem;
  return summary;
}

export function summarizeError(error: PortalError): ErrorSummary {
  return { code: error.code, message: error.message, hint: error.hint ?? ERRORS[error.code].remedy };
}

/** Turns another process's error summary back into an error. */
export function errorOf({ code, message, hint }: ErrorSummary): PortalError {
  const known: ErrorCode = code in ERRORS ? (code as ErrorCode) : 'internal';
  return new PortalError(known, message, hint === undefined ? {} : { hint });
}

function reportText(context: Context, error: PortalError, { message, hint }: ErrorSummary): void {
  const style = createStyle(context.stderr.color);
  context.stderr.line(`${style.red('error:')} ${message}${codeGap(message)}${style.dim(`[${error.code}]`)}`);
  if (hint) context.stderr.line(`  ${hint}`);
  if (context.verbosity === 'verbose')
    for (const cause of causesOf(error)) context.stderr.line(style.dim(cause));
  if (error.code !== 'internal') return;
  // A bug in Portal: a bug report needs the stack.
  const { cause } = error;
  context.stderr.line(style.dim((cause instanceof Error ? cause.stack : error.stack) ?? ''));
}

/** The causes of an error, nearest first. */
function causesOf({ cause }: Error): string[] {
  if (!(cause instanceof Error)) return [];
  const code = systemCode(cause);
  return [`  caused by: ${printable(cause.message)}${code ? ` [${code}]` : ''}`, ...causesOf(cause)];
}

function fromCommander(error: CommanderError): PortalError {
  const { message, hint } = rewriteParserError(error);
  return new PortalError('usage', message, hint ? { hint } : {});
}

/** Between a message and its code. After a list, the code has its own line: it is not part of the last item. */
const codeGap = (message: string): string => (message.includes('\n') ? '\n' : ' ');
