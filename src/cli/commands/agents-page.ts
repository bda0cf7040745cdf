import { responsesOf, queryEach, errorsOf } from '../agents/query.js';
import { relaysToQuery, type RelayOptions } from '../agents/relays.js';
import { reportSkipped, reportFailed } from '../agents/report.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { printable } from '../text/style.js';

export async function run(context: Context, { options }: CommandInput<RelayOptions>): Promise<ExitCode> {
  const wanted = await relaysToQuery(context, options);
  const asked = await queryEach(wanted, (client) => client.link());
  const responses = responsesOf(asked);
  reportSkipped(context, wanted);
  reportFailed(context, errorsOf(asked));
  for (const { relay, response } of responses) {
    if (context.json) printEvent(context, 'link', { relay, ...response });
    else context.stdout.data(printable(response.url));
  }
  if (!context.json && responses.length > 0)
    context.stderr.note('Open it in the browser to sign in. It works once, within a minute.');
  return responses.length > 0 ? 0 : 1;
}
