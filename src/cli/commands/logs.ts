import type { CommandInput, Context, ExitCode } from '../context.js';
import type { ControlClient } from '../control/client.js';
import type { Entry } from '../control/history.js';
import { findAgent } from '../find-agent.js';
import { listenForInterrupts } from '../interrupts.js';
import { jsonLine } from '../print.js';
import { LogLines } from '../log-lines.js';
import { createStyle } from '../style.js';
import { shellQuote } from '../../lib/shell-quote.js';
import { PortalError } from '../../lib/errors.js';
import { checkServices, isPath } from '../unknown-service.js';

interface Options {
  readonly follow?: true;
  readonly file?: string;
  readonly pid?: number;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  rejectPath(args, options);
  const agent = await findAgent(context, options, { listsOthers: true });
  await checkNames(agent, args);
  const lines = new LogLines(createStyle(context.stdout.color), context.verbosity);
  const interrupts = listenForInterrupts();
  const signal = AbortSignal.any([interrupts.signal, context.stdout.closed]);
  try {
    for await (const entry of agent.logs({ follow: options.follow === true, signal })) {
      const isWanted = args.length === 0 || args.some((service) => isOf(entry, service));
      if (context.json && isWanted) context.stdout.line(jsonLine(entry));
      if (context.json) continue;
      const text = lines.describe(entry, Date.now());
      if (isWanted && text !== undefined) context.stdout.line(text);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    interrupts.dispose();
  }
  return 0;
}

/** Other commands take the file with -f, and `logs -f FILE` would follow a service of that name. */
function rejectPath(args: readonly string[], { follow, file }: Options): void {
  const path = args.find(isPath);
  if (path === undefined || file !== undefined) return;
  const command = ['portal logs', ...(follow ? ['-f'] : []), `-F ${shellQuote(path)}`].join(' ');
  throw new PortalError('usage', `${JSON.stringify(path)} is a file, not a service`, {
    hint: `Use: ${command}. For \`portal logs\`, -f is --follow and -F is --file.`,
  });
}

/** A service may be gone from the configuration and still have entries. */
async function checkNames(agent: ControlClient, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const { services, waiting } = await agent.readiness();
  const known = [...Object.keys(services), ...waiting.map(({ service }) => service)];
  // A starting or stopping agent does not know its services.
  if (known.length === 0 || names.every((name) => known.includes(name))) return;
  const logged: string[] = [];
  for await (const entry of agent.logs({ follow: false })) logged.push(serviceOf(entry) ?? '');
  checkServices(
    names.filter((name) => !logged.includes(name)),
    known,
    'the agent',
  );
}

const isOf = (entry: Entry, service: string): boolean => serviceOf(entry) === service;

function serviceOf(entry: Entry): string | undefined {
  const { service } = entry.event === 'log' ? entry.fields : (entry as { service?: unknown });
  return typeof service === 'string' ? service : undefined;
}
