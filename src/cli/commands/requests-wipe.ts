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
  if (!history) return told(context, 'no identity', 0, []);
  const { address } = history.identity;
  const answer = options.yes ? 'yes' : await ask(context, address);
  if (answer !== 'yes') {
    context.stderr.note('Nothing was changed.');
    return answer === 'no' ? 1 : 130;
  }
  // First those who would write on; each goes on with a file that is empty.
  const kept = new Set<string>();
  const silent: string[] = [];
  let agents = 0;
  for (const socket of await controlPlace(context.paths.runDir).list()) {
    try {
      const { isWiped, kept: name } = await new ControlClient(socket).wipe(address);
      if (isWiped) agents++;
      if (name !== undefined) kept.add(name);
    } catch (thrown) {
      const error = asPortalError(thrown);
      if (error.code !== 'not_running') silent.push(error.message);
    }
  }
  await history.folder.removeAll(kept);
  return told(context, address, agents, silent);
}

function told(context: Context, identity: string, agents: number, silent: readonly string[]): ExitCode {
  if (context.json) printEvent(context, 'wiped', { identity, agents });
  else context.stderr.note(`every request of ${identity} is forgotten`);
  for (const message of silent)
    context.stderr.line(`an agent has in memory yet what it recorded, if it is of this identity: ${message}`);
  return silent.length > 0 ? 1 : 0;
}

async function ask(context: Context, address: string): Promise<Answer> {
  const { stdin, stderr } = context;
  const isAsked = (stdin as { isTTY?: boolean }).isTTY === true && stderr.isTTY && !context.json;
  if (!isAsked)
    throw new PortalError('usage', `this forgets every request that is kept of ${address} on this machine`, {
      hint: 'Add --yes if that is what you want.',
    });
  return confirm(context, `Forget every request of ${address} that is kept on this machine? [y/N] `);
}
