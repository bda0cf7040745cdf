import { responsesOf, errorsOf, viewEach } from '../agents/query.js';
import { describeAgents } from '../agents/describe.js';
import { mergeResponses } from '../agents/merge.js';
import { relaysToQuery, type RelayOptions } from '../agents/relays.js';
import { reportSkipped, reportFailed } from '../agents/report.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { createStyle } from '../text/style.js';

export async function run(context: Context, { options }: CommandInput<RelayOptions>): Promise<ExitCode> {
  const wanted = await relaysToQuery(context, options);
  const asked = await viewEach(wanted);
  const responses = responsesOf(asked);
  reportSkipped(context, wanted);
  reportFailed(context, errorsOf(asked));
  // Without a relay to query, print one empty list.
  if (context.json && asked.length === 0) printEvent(context, 'agents', { agents: [], names: [] });
  else if (context.json) for (const { response } of responses) printEvent(context, 'agents', response);
  else if (responses.length > 0) {
    const style = createStyle(context.stdout.color);
    const { columns } = context.stdout;
    for (const line of describeAgents(mergeResponses(responses), style, Date.now(), columns))
      context.stdout.line(line);
    if (responses.some(({ response }) => response.truncated))
      context.stderr.line(
        'The list is incomplete: a relay has too many agents to show all, or one of its nodes or workers does not respond.',
      );
  }
  return responses.length > 0 || wanted.embeddedOnlyIn !== undefined ? 0 : 1;
}
