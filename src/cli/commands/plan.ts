import type { Desired } from '../../config/desired.js';
import { PortalError } from '../../lib/errors.js';
import { plan, type Action } from '../../reconcile/plan.js';
import { notAllowedYet } from '../allow/gate.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { controlPlace } from '../control/address.js';
import { ControlClient } from '../control/client.js';
import { agentKey, load, ownedLoadOptions } from '../load.js';
import { describeUnlocked, loadLockState, lockFields } from '../lock.js';
import { columns, printEvent } from '../print.js';
import { relayName } from '../reporters/describe.js';
import { createStyle, type Paint, type Style } from '../style.js';

interface Options {
  readonly file?: string;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const loaded = await load(ownedLoadOptions(context, options.file));
  const { desired } = loaded;
  const notAllowed = await notAllowedYet(context, loaded);
  const lock = await loadLockState(desired);
  const running = await askAgent(context, desired);
  const actions = running ?? plan(desired, []);
  // Which ones shows when it starts.
  const { candidates } = desired;
  const later = running ? undefined : candidates;
  if (context.json)
    printEvent(context, 'plan', {
      actions,
      ...(later && { chosenLater: later.maxActive }),
      ...(lock && { lock: lockFields(lock) }),
      ...notAllowed.fields,
    });
  else {
    printActions(context, actions);
    const unlocked = lock && describeUnlocked(lock);
    if (unlocked !== undefined) context.stderr.note(unlocked);
    for (const line of notAllowed.lines) context.stderr.note(line);
    if (later)
      context.stderr.note(
        `and up to ${later.maxActive} more relays, chosen when it starts (portal list shows which there are)`,
      );
  }
  return later || actions.some(({ kind }) => kind !== 'keep') ? 3 : 0;
}

/** The plan against what runs, which only the agent knows; undefined when none runs for this file. */
async function askAgent(context: Context, desired: Desired): Promise<Action[] | undefined> {
  if (desired.file === undefined) return undefined;
  const address = controlPlace(context.paths.runDir).address(await agentKey(desired.file));
  try {
    return await new ControlClient(address).plan(desired);
  } catch (error) {
    if (error instanceof PortalError && error.code === 'not_running') return undefined;
    throw error;
  }
}

const SIGN = { open: '+', update: '~', replace: '±', close: '-' } as const;

function printActions(context: Context, actions: readonly Action[]): void {
  const style = createStyle(context.stdout.color);
  const changes = actions.filter((action) => action.kind !== 'keep');
  const rows = changes.map(({ kind, service, relay, changes: paths, exposes }) => [
    SIGN[kind as keyof typeof SIGN],
    service,
    kind,
    relayName(relay),
    [paths.join(', '), exposes && !staysHere(kind, relay) ? '! opens to more people' : '']
      .filter(Boolean)
      .join('  '),
  ]);
  for (const [index, line] of columns(rows).entries()) {
    context.stdout.line(paint(style, changes[index]!)(line));
  }
  const kept = actions.length - changes.length;
  const keep = kept > 0 ? `${kept} unchanged` : '';
  const change = changes.length > 0 ? `${changes.length} to change` : 'nothing to change';
  context.stderr.note([change, keep].filter(Boolean).join(', '));
}

/** What the relay in this process opens is for this machine alone. */
const staysHere = (kind: Action['kind'], relay: string): boolean =>
  kind === 'open' && relay.startsWith('embedded:');

function paint(style: Style, { kind }: Action): Paint {
  if (kind === 'open') return style.green;
  return kind === 'close' ? style.red : style.yellow;
}
