import { answersOf, errorsOf, viewEach } from '../agents/ask.js';
import { describeAgents } from '../agents/describe.js';
import { mergeAnswers } from '../agents/merge.js';
import { relaysToAsk, type RelayOptions } from '../agents/relays.js';
import { tellLeftOut, tellUnanswered } from '../agents/tell.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { createStyle } from '../style.js';

export async function run(context: Context, { options }: CommandInput<RelayOptions>): Promise<ExitCode> {
  const ask = await relaysToAsk(context, options);
  const asked = await viewEach(ask);
  const answers = answersOf(asked);
  tellLeftOut(context, ask);
  tellUnanswered(context, errorsOf(asked));
  // Without a relay to ask there is one list, and nothing on it.
  if (context.json && asked.length === 0) printEvent(context, 'agents', { agents: [], names: [] });
  else if (context.json) for (const { answer } of answers) printEvent(context, 'agents', answer);
  else if (answers.length > 0) {
    const style = createStyle(context.stdout.color);
    for (const line of describeAgents(mergeAnswers(answers), style, Date.now())) context.stdout.line(line);
    if (answers.some(({ answer }) => answer.truncated))
      context.stderr.line('there are more agents than a relay shows at once');
  }
  return answers.length > 0 ? 0 : 1;
}
