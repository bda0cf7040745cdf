import { readFile } from 'node:fs/promises';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';

const SCHEMA = new URL('../../../schema/portal.schema.json', import.meta.url);

export async function run(context: Context, _input: CommandInput<object>): Promise<ExitCode> {
  const text = await readFile(SCHEMA, 'utf8');
  if (context.json) printEvent(context, 'schema', { schema: JSON.parse(text) as object });
  else context.stdout.write(text);
  return 0;
}
