import { asPortalError, PortalError } from '../../lib/errors.js';
import { confirm, type Answer } from '../confirm.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { controlPlace } from '../control/address.js';
import { ControlClient } from '../control/client.js';
import { printEvent } from '../print.js';
import { ownHistory } from '../request-history.js';

interface Options {
  readonly yes?: true;
  readonly file?: string;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const history = await ownHistory(context, options.file);
  if (!history) return report(context, 'no identity', 0, []);
  const { address } = history.identity;
  const answer = options.yes ? 'yes' : await ask(context, address);
  if (answer !== 'yes') {
    context.stderr.note('Nothing changed.');
    return answer === 'no' ? 1 : 130;
  }
  // Ask running agents first, because they would keep writing. Each continues with an empty file.
  const kept = new Set<string>();
  const failures: string[] = [];
  let agents = 0;
  for (const socket of await controlPlace(context.paths.runDir).list()) {
    try {
      const { isWiped, kept: name } = await new ControlClient(socket).wipe(address);
      if (isWiped) agents++;
      if (name !== undefined) kept.add(name);
    } catch (thrown) {
      const error = asPortalError(thrown);
      if (error.code !== 'not_running') failures.push(error.message);
    }
  }
  await history.folder.removeAll(kept);
  return report(context, address, agents, failures);
}

function report(context: Context, identity: string, agents: number, failures: readonly string[]): ExitCode {
  if (context.json) printEvent(context, 'wiped', { identity, agents });
  else context.stderr.note(`deleted every recorded request of ${identity}`);
  for (const message of failures)
    context.stderr.line(`an agent may still have requests of this identity in memory: ${message}`);
  return failures.length > 0 ? 1 : 0;
}

async function ask(context: Context, address: string): Promise<Answer> {
  const { stdin, stderr } = context;
  const isAsked = (stdin as { isTTY?: boolean }).isTTY === true && stderr.isTTY && !context.json;
  if (!isAsked)
    throw new PortalError('usage', `this deletes every recorded request of ${address} on this machine`, {
      hint: 'Add --yes to confirm.',
    });
  return confirm(context, `Delete every recorded request of ${address} on this machine? [y/N] `);
}
