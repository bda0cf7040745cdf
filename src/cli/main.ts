import { CommanderError } from 'commander';
import { compileUnderLoad } from './compilers.js';
import { PortalError, systemCode } from '../lib/errors.js';
import { createContext, type Context, type ExitCode } from './context.js';
import { reportFailure } from './failure.js';
import { commandNamed } from './grammar/help.js';
import { holdInterrupts } from './interrupts.js';
import { rewriteParserError } from './grammar/parser-words.js';
import { createProgram } from './grammar/program.js';
import type { Verbosity } from './verbosity.js';

/** Runs `portal` with these arguments, and exits. */
export async function main(argv: readonly string[]): Promise<void> {
  const isTerminal = process.stdout.isTTY || process.stderr.isTTY;
  const wrap = isTerminal ? await import('./text/wrap.js') : undefined;
  const context = createContext(argv.slice(2), wrap);
  const fail = async (error: unknown): Promise<void> => exit(context, await reportFailure(context, error));
  process.on('uncaughtException', (error) => void fail(error));
  process.on('unhandledRejection', (error) => void fail(error));
  await exit(context, await run(context));
}

/** Runs a command in `context`, without changing the process. */
export async function run(context: ReturnType<typeof createContext>): Promise<ExitCode> {
  let code: ExitCode = 0;
  let file: string | undefined;
  const program = createProgram({
    first: context.argv[0],
    write: (text) => context.stdout.line(text.replace(/\n$/, '')),
    execute: (load, { holdsInterrupts = false, serves = false } = {}) =>
      async function execute() {
        // Before slow imports: a service manager may send a signal immediately.
        if (holdsInterrupts) holdInterrupts();
        if (serves) compileUnderLoad();
        const command = await load();
        context.verbosity = verbosityOf(this.optsWithGlobals());
        context.stderr.isQuiet = context.verbosity === 'quiet';
        ({ file } = this.opts<{ file?: string }>());
        code = await command.run(context, { args: this.args, options: this.opts() });
      },
  });
  try {
    await program.parseAsync(context.argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && isPrinted(error)) return 0;
    const named = commandNamed(program, context.argv);
    return reportFailure(context, await hinted(error, context.argv, named), named, file);
  }
}

/** Adds an example, or Portal's name for an option or command that the user knows from another program. */
async function hinted(error: unknown, argv: readonly string[], command: string): Promise<unknown> {
  if (!(error instanceof CommanderError)) return error;
  if (error.code === 'commander.missingArgument') {
    const { exampleOf } = await import('./grammar/examples.js');
    const example = exampleOf(command);
    const hint = example === undefined ? undefined : `For example: ${example}`;
    return new PortalError('usage', rewriteParserError(error).message, hint === undefined ? {} : { hint });
  }
  const { otherToolHint } = await import('./grammar/other-tools.js');
  const hint = otherToolHint(error, argv);
  if (hint === undefined) return error;
  return new PortalError('usage', rewriteParserError(error).message, { hint });
}

function verbosityOf({ quiet, verbose }: { quiet?: true; verbose?: true }): Verbosity {
  if (quiet) return 'quiet';
  return verbose ? 'verbose' : 'normal';
}

/** Commander also throws after --help, --version and a bare `portal`, after it has printed their text. */
function isPrinted(error: CommanderError): boolean {
  return error.exitCode === 0 || error.code === 'commander.help';
}

/** The exit codes with which a command delivers its output: 3 is that of `portal plan` if it would change something. */
const RESULTS: ReadonlySet<number> = new Set([0, 3]);

/** Flushes first: pipes are asynchronous in Node, so an exit would cut off the output. */
async function exit(context: Context, code: ExitCode): Promise<void> {
  await Promise.all([context.stdout.flush(), context.stderr.flush()]);
  // A file reports a failed write one turn later.
  await new Promise(setImmediate);
  const { failure } = context.stdout;
  if (failure) {
    context.stderr.line(`error: the output is incomplete: ${systemCode(failure) ?? failure.message}`);
    await context.stderr.flush();
  }
  process.exit(failure && RESULTS.has(code) ? 1 : code);
}
