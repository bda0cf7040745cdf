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
  if (backup !== undefined) context.stderr.note(`backup of the previous identity: ${backup}`);
  return 0;
}

/** Moves the existing identity to a backup. A key is never deleted: relays may still reserve names for it. */
async function setAside(file: string, force: boolean): Promise<string | undefined> {
  const exists = await access(file).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  if (!force) {
    throw new PortalError('usage', `${file} already has an identity`, {
      hint: 'A new identity cannot use its names on relays. Add --force to replace it and keep a backup.',
    });
  }
  const backup = `${file}.${new Date().toISOString().replaceAll(/[:.]/g, '-')}.backup`;
  await rename(file, backup);
  return backup;
}
