import { shellQuote } from '../../lib/shell-quote.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { load, loadOptions } from '../../library/load.js';
import { printEvent } from '../print.js';
import { serviceVariables } from '../running/service-variables.js';

interface Options {
  readonly file?: string;
}

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const loaded = await load(loadOptions(context, options.file));
  const variables = await serviceVariables(context, loaded, args[0]);
  if (context.json) {
    printEvent(context, 'env', { variables });
    return 0;
  }
  for (const [name, value] of Object.entries(variables)) context.stdout.data(`${name}=${shellQuote(value)}`);
  if (Object.keys(variables).length === 0) context.stderr.note('no URL is known before `portal up` runs');
  return 0;
}
