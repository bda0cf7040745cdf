import { allHeld, removeHeld } from '../../agent/hold/store.js';
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
  if (!history) return report(context, { identity: 'no identity', agents: 0, held: 0 }, []);
  const { address } = history.identity;
  const waiting = (await allHeld(context.paths.heldDir, history.identity)).held.length;
  const answer = options.yes ? 'yes' : await ask(context, address, waiting);
  if (answer !== 'yes') {
    context.stderr.note('Nothing changed.');
    return answer === 'no' ? 1 : 130;
  }
  // Ask running agents first, because they would keep writing. Each continues with an empty file.
  const kept = new Set<string>();
  const failures: string[] = [];
  let agents = 0;
  // What agents hold from now on stays.
  const until = Date.now();
  let held = 0;
  for (const socket of await controlPlace(context.paths.runDir).list()) {
    try {
      const { isWiped, kept: name, held: count = 0 } = await new ControlClient(socket).wipe(address);
      if (isWiped) agents++;
      held += count;
      if (name !== undefined) kept.add(name);
    } catch (thrown) {
      const error = asPortalError(thrown);
      if (error.code !== 'not_running') failures.push(error.message);
    }
  }
  await history.folder.removeAll(kept);
  held += await removeHeld(context.paths.heldDir, history.identity, until);
  return report(context, { identity: address, agents, held }, failures);
}

interface Wiped {
  readonly identity: string;
  readonly agents: number;
  readonly held: number;
}

function report(context: Context, wiped: Wiped, failures: readonly string[]): ExitCode {
  if (context.json) printEvent(context, 'wiped', wiped);
  else context.stderr.note(`deleted all requests recorded for ${wiped.identity}${heldText(wiped.held)}`);
  for (const message of failures)
    context.stderr.line(`an agent may still have requests of this identity in memory: ${message}`);
  return failures.length > 0 ? 1 : 0;
}

const heldText = (count: number): string =>
  count === 0
    ? ''
    : `, and ${count === 1 ? '1 held request that was' : `${count} held requests that were`} not delivered`;

async function ask(context: Context, address: string, held: number): Promise<Answer> {
  const what = `all requests recorded for ${address} on this machine${heldText(held)}`;
  const { stdin, stderr } = context;
  const isAsked = (stdin as { isTTY?: boolean }).isTTY === true && stderr.isTTY && !context.json;
  if (!isAsked)
    throw new PortalError('usage', `this deletes ${what}`, {
      hint: 'Add --yes to confirm.',
    });
  return confirm(context, `Delete ${what}? [y/N] `);
}
