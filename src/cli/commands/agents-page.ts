import { answersOf, askEach, errorsOf } from '../agents/ask.js';
import { relaysToAsk, type RelayOptions } from '../agents/relays.js';
import { tellLeftOut, tellUnanswered } from '../agents/tell.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { printable } from '../style.js';

export async function run(context: Context, { options }: CommandInput<RelayOptions>): Promise<ExitCode> {
  const ask = await relaysToAsk(context, options);
  const asked = await askEach(ask, (client) => client.link());
  const answers = answersOf(asked);
  tellLeftOut(context, ask);
  tellUnanswered(context, errorsOf(asked));
  for (const { relay, answer } of answers) {
    if (context.json) printEvent(context, 'link', { relay, ...answer });
    else context.stdout.line(printable(answer.url));
  }
  if (!context.json && answers.length > 0)
    context.stderr.note('good once, for a minute: open it in the browser that is to be signed in');
  return answers.length > 0 ? 0 : 1;
}
