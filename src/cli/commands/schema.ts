import { readFile } from 'node:fs/promises';
import { packageFile } from '../../lib/package-file.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';

export async function run(context: Context, _input: CommandInput<object>): Promise<ExitCode> {
  const text = await readFile(packageFile('schema/portal.schema.json'), 'utf8');
  if (context.json) printEvent(context, 'schema', { schema: JSON.parse(text) as object });
  else context.stdout.write(text);
  return 0;
}
