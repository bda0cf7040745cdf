import { findConfig } from '../../config/files/find.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import { canAsk, createGate } from '../allow/gate.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { connectStarter, type Starter } from '../detach/background.js';
import { startDetached } from '../detach/start.js';
import { commandFor } from '../running/for-file.js';
import { parseListenAddress } from '../listen-address.js';
import { load, loadOptions } from '../../library/load.js';
import { agentKey } from '../running/agent-key.js';
import { loadLockState } from '../lock.js';
import { createReporter, type OutputOptions } from '../reporters/create.js';
import { createStyle } from '../text/style.js';
import { fileSource } from '../../library/source.js';
import { explainUnwritable } from '../unwritable.js';

interface Options extends OutputOptions {
  readonly file?: string;
  readonly watch: boolean;
  readonly frozen?: true;
  /** Active profiles. Default: those of PORTAL_PROFILES. */
  readonly profile?: readonly string[];
  readonly yes?: true;
  readonly detach?: true;
  readonly wait?: true;
  readonly metrics?: string;
  /** Milliseconds. */
  readonly timeout: number;
}

export async function run(context: Context, input: CommandInput<Options>): Promise<ExitCode> {
  const starter = connectStarter();
  if (starter) return runInBackground(context, input, starter);
  // --wait implies --detach: the agent must keep running after the command returns.
  if (input.options.detach || input.options.wait) return detach(context, input);
  return up(context, input);
}

async function up(
  context: Context,
  { args, options }: CommandInput<Options>,
  starter?: Starter,
): Promise<ExitCode> {
  const metricsAt = options.metrics === undefined ? undefined : parseListenAddress(options.metrics);
  const gate = createGate(context, options);
  const source = fileSource(options.file, context, { services: args, profiles: options.profile, gate });
  const { desired, made, warnings, refusal } = await source.load();
  if (refusal !== undefined) return refusal;
  const lock = await loadLockState(desired);
  if (options.frozen && !lock)
    throw new PortalError('usage', '--frozen needs a file: standard input has no portal.lock');
  const reporter = starter?.reporter ?? (await createReporter(context, options));
  reporter.problems(warnings, 'warning');
  const { file } = desired;
  // Imported late: a command that starts a background agent does not need it.
  const { runAgent } = await import('../run-agent.js');
  return runAgent(context, {
    key: file === undefined ? { pid: process.pid } : await agentKey(file),
    desired,
    reporter,
    select: source.select,
    frozen: options.frozen ?? false,
    made,
    ...(metricsAt && { metricsAt }),
    ...(starter && { stop: starter.stop }),
    // Standard input is read once and cannot change.
    ...(options.watch && file !== undefined && { follow: (session) => source.follow(session, reporter) }),
  });
}

/** Runs as a background agent. Its errors go to the command that started it, because this process has no terminal. */
async function runInBackground(
  context: Context,
  input: CommandInput<Options>,
  starter: Starter,
): Promise<ExitCode> {
  try {
    return await up(context, input, starter);
  } catch (error) {
    await starter.fail(explainUnwritable(context.env, asPortalError(error)));
    throw error;
  }
}

async function detach(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const readsStdin = (options.file ?? context.env['PORTAL_FILE']) === '-';
  // Ask here, because the background agent has no terminal. It loads the file again, and applies the answer.
  if (!readsStdin && canAsk(context)) {
    const refused = await createGate(context, options).ask(await load(loadOptions(context, options.file)));
    if (refused !== undefined) return refused;
  }
  const start = await startDetached(context, {
    waitMs: options.wait && options.timeout,
    stdin: readsStdin ? await loadOptions(context, options.file).stdin?.() : undefined,
    reporter: await createReporter(context, options),
  });
  if ('exit' in start) return start.exit;
  if (!context.json) {
    const { dim } = createStyle(context.stderr.color);
    const commands = await commandsOf(context, options.file);
    context.stderr.note(dim(`running in the background (pid ${start.pid}): ${commands.join(', ')}`));
  }
  return 0;
}

/** Commands for the agent of the file. */
async function commandsOf(context: Context, named: string | undefined): Promise<string[]> {
  const found = await findConfig({ file: named, cwd: context.cwd, env: context.env });
  const file = found.kind === 'file' ? found.path : undefined;
  return Promise.all([
    commandFor(context, 'portal status', file),
    commandFor(context, 'portal logs -f', file, '-F'),
    commandFor(context, 'portal down', file),
  ]);
}
