import { PortalError } from '../../lib/errors.js';
import { shellQuote } from '../../lib/shell-quote.js';
import { isPath } from '../../library/path-word.js';
import { checkServices } from '../../library/unknown-service.js';
import type { AgentStatus } from '../../reconcile/events.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { findAgent, severalAgents } from '../running/find-agent.js';
import { hintsFor } from '../running/for-file.js';
import { describeStatus } from '../status/describe-status.js';
import { createStyle } from '../text/style.js';

interface Options {
  readonly file?: string;
  readonly pid?: number;
  readonly waitReady?: true;
  /** With waitReady: waits for the targets as well. */
  readonly targets?: true;
  /** Timeout of waitReady, milliseconds. */
  readonly timeout: number;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const path = args.find(isPath);
  if (path !== undefined)
    throw new PortalError('usage', `${JSON.stringify(path)} is a file, not a service`, {
      hint: `Use: portal status -f ${shellQuote(path)}.`,
    });
  if (options.waitReady && args.length > 0)
    throw new PortalError('usage', '--wait-ready waits for every service', {
      hint: 'Use it without the names of services.',
    });
  if (options.targets && !options.waitReady) throw new PortalError('usage', '--targets needs --wait-ready');
  if (options.waitReady) {
    const { printWhenReady } = await import('../running/wait-ready.js');
    return printWhenReady(context, options);
  }
  const agents = options.pid === undefined ? await severalAgents(context, options) : [];
  if (agents.length > 0)
    checkServices(
      args,
      agents.flatMap(({ status }) => servicesOf(status)),
      'no agent',
    );
  const several = agents.filter(({ status }) => args.length === 0 || has(status, args));
  for (const [index, { pid, status }] of several.entries()) {
    if (index > 0 && !context.json) context.stdout.line();
    if (status) await print(context, only(status, args));
    else if (context.json) printEvent(context, 'unresponsive', { pid: pid ?? null });
    else context.stdout.line(`pid ${pid ?? 'unknown'} does not respond`);
  }
  if (several.length > 0) return 0;
  const status = await (await findAgent(context, options, { listsOthers: true })).status();
  checkServices(args, servicesOf(status), 'the agent');
  await print(context, only(status, args));
  return 0;
}

const servicesOf = (status: AgentStatus | undefined): string[] => [
  ...new Set([...(status?.leases ?? []), ...(status?.unplaced ?? [])].map(({ service }) => service)),
];

const has = (status: AgentStatus | undefined, names: readonly string[]): boolean =>
  servicesOf(status).some((name) => names.includes(name));

/** The state of these services and their relays; of all if there are no names. */
function only(status: AgentStatus, names: readonly string[]): AgentStatus {
  if (names.length === 0) return status;
  const isNamed = ({ service }: { readonly service: string }): boolean => names.includes(service);
  const leases = status.leases.filter(isNamed);
  const { registry: _, unplaced = [], commands = [], held = [], ...rest } = status;
  const without = unplaced.filter(isNamed);
  const programs = commands.filter(isNamed);
  const waiting = held.filter(isNamed);
  return {
    ...rest,
    leases,
    relays: status.relays.filter(({ relay }) => leases.some((lease) => lease.relay === relay)),
    ...(without.length > 0 && { unplaced: without }),
    ...(programs.length > 0 && { commands: programs }),
    ...(waiting.length > 0 && { held: waiting }),
  };
}

async function print(context: Context, status: AgentStatus): Promise<void> {
  const { stdout, json } = context;
  if (json) return printEvent(context, 'status', status);
  const hinted = await hintsFor(context, status.file ?? undefined);
  const lines = describeStatus(status, createStyle(stdout.color), Date.now(), stdout.columns);
  for (const line of lines) stdout.line(hinted(line));
}
