import { PortalError } from '../../lib/errors.js';
import { responsesOf, queryEach, errorsOf, viewEach } from '../agents/query.js';
import { relaysToQuery, type RelayOptions } from '../agents/relays.js';
import { reportSkipped, reportFailed } from '../agents/report.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { printable } from '../text/style.js';

export async function run(
  context: Context,
  { args, options }: CommandInput<RelayOptions>,
): Promise<ExitCode> {
  const name = args[0]!.toLowerCase();
  const wanted = await relaysToQuery(context, options);
  const seen = await viewEach(wanted);
  const failed = errorsOf(seen);
  reportFailed(context, failed);
  const responses = responsesOf(seen);
  if (responses.length === 0) {
    reportSkipped(context, wanted);
    return 1;
  }
  const having = new Set(
    responses
      .filter(({ response }) => response.names.some((one) => one.name === name))
      .map(({ relay }) => relay),
  );
  if (having.size === 0)
    throw new PortalError(
      'not_found',
      `"${name}" is not reserved for your identity on any relay that responded`,
      {
        hint: '`portal agents` shows your names.',
      },
    );
  const there = { ...wanted, relays: wanted.relays.filter(({ url }) => having.has(url)) };
  const asked = await queryEach(there, (client) => client.release(name));
  reportFailed(context, errorsOf(asked));
  for (const { relay } of responsesOf(asked)) {
    if (context.json) printEvent(context, 'released', { relay, name });
    else context.stdout.line(`released ${name} at ${printable(relay)}`);
  }
  return failed.length + errorsOf(asked).length === 0 ? 0 : 1;
}
