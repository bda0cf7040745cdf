import { PortalError } from '../../lib/errors.js';
import { answersOf, askEach, errorsOf, viewEach } from '../agents/ask.js';
import { relaysToAsk, type RelayOptions } from '../agents/relays.js';
import { tellLeftOut, tellUnanswered } from '../agents/tell.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { printable } from '../style.js';

export async function run(
  context: Context,
  { args, options }: CommandInput<RelayOptions>,
): Promise<ExitCode> {
  const name = args[0]!.toLowerCase();
  const ask = await relaysToAsk(context, options);
  const seen = await viewEach(ask);
  const unanswered = errorsOf(seen);
  tellUnanswered(context, unanswered);
  const answers = answersOf(seen);
  if (answers.length === 0) {
    tellLeftOut(context, ask);
    return 1;
  }
  const having = new Set(
    answers.filter(({ answer }) => answer.names.some((one) => one.name === name)).map(({ relay }) => relay),
  );
  if (having.size === 0)
    throw new PortalError(
      'not_found',
      `"${name}" is not reserved for your identity on any relay that answered`,
      {
        hint: '`portal agents` shows your names.',
      },
    );
  const there = { ...ask, relays: ask.relays.filter(({ url }) => having.has(url)) };
  const asked = await askEach(there, (client) => client.release(name));
  tellUnanswered(context, errorsOf(asked));
  for (const { relay } of answersOf(asked)) {
    if (context.json) printEvent(context, 'released', { relay, name });
    else context.stdout.line(`released ${name} at ${printable(relay)}`);
  }
  return unanswered.length + errorsOf(asked).length === 0 ? 0 : 1;
}
