import { asPortalError, PortalError } from '../../lib/errors.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { controlPlace } from '../control/address.js';
import { ControlClient } from '../control/client.js';
import { ownShares } from '../own-shares.js';
import { printEvent } from '../print.js';
import { createStyle } from '../text/style.js';

interface Options {
  readonly all?: true;
  readonly file?: string;
}

/** Stores the revocation before it tells running agents, so that an agent that starts later knows it too. */
export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  if (options.all ? args.length > 0 : args.length === 0)
    throw new PortalError('usage', options.all ? '--all revokes every link' : 'no link to revoke', {
      hint: 'Use either --all, or ids that `portal share list` shows.',
    });
  const own = await ownShares(context, options.file);
  const now = Date.now();
  const unknown: string[] = [];
  let count = 0;
  if (options.all) count = (await own?.store.revokeAll(now)) ?? 0;
  else
    for (const id of args) {
      if (await own?.store.revoke(id, now)) count++;
      else unknown.push(id);
    }
  const failures = own ? await tellAgents(context, own.address) : [];
  if (context.json) printEvent(context, 'revoked', { links: count, ...(unknown.length > 0 && { unknown }) });
  else if (count > 0 || unknown.length === 0)
    context.stderr.note(count === 1 ? 'revoked 1 link' : `revoked ${count} links`);
  const { red } = createStyle(context.stderr.color);
  for (const id of unknown)
    context.stderr.line(
      `${red('error:')} this machine has no link ${JSON.stringify(id)}: revoke it where it was created, or use --all`,
    );
  for (const message of failures)
    context.stderr.line(`${red('error:')} an agent may still accept these links: ${message}`);
  return failures.length + unknown.length > 0 ? 1 : 0;
}

/** Returns why agents may not know the revocations. */
async function tellAgents(context: Context, address: string): Promise<string[]> {
  const sockets = await controlPlace(context.paths.runDir).list();
  const failures = await Promise.all(
    sockets.map(async (socket) => {
      try {
        await new ControlClient(socket).reloadShares(address);
        return [];
      } catch (thrown) {
        const error = asPortalError(thrown);
        return error.code === 'not_running' ? [] : [error.message];
      }
    }),
  );
  return failures.flat();
}
