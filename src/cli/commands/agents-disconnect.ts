import { PortalError } from '../../lib/errors.js';
import { responsesOf, queryEach, errorsOf, viewEach } from '../agents/query.js';
import { mergeResponses, type MergedAgent } from '../agents/merge.js';
import { relaysToQuery, type RelayOptions } from '../agents/relays.js';
import { reportSkipped, reportFailed } from '../agents/report.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { usage } from '../expose-services.js';
import { printEvent } from '../print.js';
import { printable } from '../text/style.js';

export async function run(
  context: Context,
  { args, options }: CommandInput<RelayOptions>,
): Promise<ExitCode> {
  const wanted = await relaysToQuery(context, options);
  const seen = await viewEach(wanted);
  const failed = errorsOf(seen);
  reportFailed(context, failed);
  const responses = responsesOf(seen);
  if (responses.length === 0) {
    reportSkipped(context, wanted);
    return 1;
  }
  const { agents } = mergeResponses(responses);
  const { id, machine, relays } = onlyMatch(
    agents.filter((agent) => agent.own && agent.id !== undefined),
    args[0]!.toLowerCase(),
  );
  const there = { ...wanted, relays: wanted.relays.filter(({ url }) => relays.includes(url)) };
  const asked = await queryEach(there, (client) => client.disconnect(id!));
  reportFailed(context, errorsOf(asked));
  for (const { relay } of responsesOf(asked)) {
    if (context.json) printEvent(context, 'disconnected', { relay, agent: id, machine });
    else context.stdout.line(`disconnected ${printable(machine ?? id!)} at ${printable(relay)}`);
  }
  // A relay that did not respond may still have the agent.
  return failed.length + errorsOf(asked).length === 0 ? 0 : 1;
}

/** The only agent whose id begins with `text`, or whose machine has this name. */
function onlyMatch(agents: readonly MergedAgent[], text: string): MergedAgent {
  const found = agents.filter(({ id, machine }) => id!.startsWith(text) || machine?.toLowerCase() === text);
  const [only, another] = found;
  if (only === undefined)
    throw new PortalError('not_found', `none of your agents has an id that begins with ${text}`, {
      hint: '`portal agents` shows their ids.',
    });
  if (another === undefined) return only;
  throw usage(
    `${text} matches ${found.length} agents: ${found.map(({ id }) => id).join(', ')}`,
    'Type more of the id.',
  );
}
