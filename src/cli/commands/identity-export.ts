import { exportIdentity, loadIdentity } from '../../identity/file.js';
import { PortalError } from '../../lib/errors.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { identityFile } from '../identity-file.js';
import { printEvent } from '../print.js';

interface Options {
  readonly file?: string;
  readonly yes?: true;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  if (!options.yes) {
    throw new PortalError('usage', 'this prints the private key, and anyone who has it can take your names', {
      hint: 'Add --yes to confirm.',
    });
  }
  const identity = await loadIdentity(await identityFile(context, options.file), { create: false });
  const text = exportIdentity(identity);
  if (context.json) printEvent(context, 'identity', JSON.parse(text) as object);
  else context.stdout.write(text);
  return 0;
}
