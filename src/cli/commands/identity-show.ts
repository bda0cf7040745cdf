import { loadIdentity } from '../../identity/file.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { identityFile } from '../identity-file.js';
import { printEvent } from '../print.js';

interface Options {
  readonly file?: string;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const file = await identityFile(context, options.file);
  const { address } = await loadIdentity(file, { create: false });
  if (context.json) printEvent(context, 'identity', { address, file });
  else {
    context.stdout.line(address);
    context.stderr.note(`in ${file}`);
  }
  return 0;
}
