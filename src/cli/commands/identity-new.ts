import { access, rename } from 'node:fs/promises';
import { loadIdentity } from '../../identity/file.js';
import { PortalError } from '../../lib/errors.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { identityFile } from '../identity-file.js';
import { printEvent } from '../print.js';

interface Options {
  readonly file?: string;
  readonly force?: true;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const file = await identityFile(context, options.file);
  const backup = await setAside(file, options.force === true);
  const { address } = await loadIdentity(file, { create: true });
  if (context.json) {
    printEvent(context, 'identity', { address, file, ...(backup !== undefined && { backup }) });
    return 0;
  }
  context.stdout.line(address);
  context.stderr.note(`in ${file}`);
  if (backup !== undefined) context.stderr.note(`the former one is kept in ${backup}`);
  return 0;
}

/** Makes room for a new identity. A key is never deleted: names on relays may still be reserved for it. */
async function setAside(file: string, force: boolean): Promise<string | undefined> {
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  if (!force) {
    throw new PortalError('usage', `there is an identity in ${file} already`, {
      hint: 'Names that it holds on relays are lost to a new one. Add --force to replace it; a backup is kept.',
    });
  }
  const backup = `${file}.${new Date().toISOString().replaceAll(/[:.]/g, '-')}.backup`;
  await rename(file, backup);
  return backup;
}
