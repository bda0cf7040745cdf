import { PortalError } from '../../lib/errors.js';
import { answersOf, askEach, errorsOf, viewEach } from '../agents/ask.js';
import { mergeAnswers, type MergedAgent } from '../agents/merge.js';
import { relaysToAsk, type RelayOptions } from '../agents/relays.js';
import { tellLeftOut, tellUnanswered } from '../agents/tell.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { usage } from '../expose-services.js';
import { printEvent } from '../print.js';
import { printable } from '../style.js';

export async function run(
  context: Context,
  { args, options }: CommandInput<RelayOptions>,
): Promise<ExitCode> {
  const ask = await relaysToAsk(context, options);
  const seen = await viewEach(ask);
  const unanswered = errorsOf(seen);
  tellUnanswered(context, unanswered);
  const answers = answersOf(seen);
  if (answers.length === 0) {
    tellLeftOut(context, ask);
    return 1;
  }
  const { agents } = mergeAnswers(answers);
  const { id, machine, relays } = theOne(
    agents.filter((agent) => agent.own && agent.id !== undefined),
    args[0]!.toLowerCase(),
  );
  const there = { ...ask, relays: ask.relays.filter(({ url }) => relays.includes(url)) };
  const asked = await askEach(there, (client) => client.disconnect(id!));
  tellUnanswered(context, errorsOf(asked));
  for (const { relay } of answersOf(asked)) {
    if (context.json) printEvent(context, 'disconnected', { relay, agent: id, machine });
    else context.stdout.line(`disconnected ${printable(machine ?? id!)} at ${printable(relay)}`);
  }
  // Where nobody answered it may be still.
  return unanswered.length + errorsOf(asked).length === 0 ? 0 : 1;
}

/** The agent whose id begins so, or whose machine is called so. */
function theOne(agents: readonly MergedAgent[], wanted: string): MergedAgent {
  const found = agents.filter(
    ({ id, machine }) => id!.startsWith(wanted) || machine?.toLowerCase() === wanted,
  );
  const [only, another] = found;
  if (only === undefined)
    throw new PortalError('not_found', `none of your agents has an id that begins with ${wanted}`, {
      hint: '`portal agents` shows their ids.',
    });
  if (another === undefined) return only;
  throw usage(
    `${found.length} agents are meant by ${wanted}: ${found.map(({ id }) => id).join(', ')}`,
    'Write more of the id.',
  );
}
