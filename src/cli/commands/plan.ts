import type { Desired } from '../../config/desired.js';
import { PortalError } from '../../lib/errors.js';
import { plan, type Action } from '../../reconcile/plan.js';
import { notAllowedYet } from '../allow/gate.js';
import { askAgent } from '../running/ask-agent.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { commandFor } from '../running/for-file.js';
import { load, ownedLoadOptions } from '../../library/load.js';
import { describeUnlocked, loadLockState, lockFields } from '../lock.js';
import { planLines, planMarkdown, summaryOf } from '../plan/describe.js';
import { printEvent } from '../print.js';
import { activeProfiles, selection } from '../../library/selection.js';
import { createStyle } from '../text/style.js';

interface Options {
  readonly file?: string;
  /** A git commit. */
  readonly against?: string;
  readonly format: 'text' | 'markdown';
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const loaded = await load(ownedLoadOptions(context, options.file));
  const { desired } = loaded;
  if (options.against !== undefined) return against(context, desired, options.against, options);
  const notAllowed = await notAllowedYet(context, loaded);
  const lock = await loadLockState(desired);
  const running = await askAgent(context, desired, (agent) => agent.plan(desired));
  const select = selection({ names: [], profiles: activeProfiles(context.env, undefined) });
  const actions = running ?? plan(select(desired), []);
  // Only a running agent knows which relays it chose.
  const { candidates } = desired;
  const notChosen = running ? undefined : candidates;
  if (context.json)
    printEvent(context, 'plan', {
      actions,
      ...(notChosen && { chosenLater: notChosen.maxActive }),
      ...(lock && { lock: lockFields(lock) }),
      ...(loaded.certificates.length > 0 && { certificates: loaded.certificates }),
      ...notAllowed.fields,
    });
  else {
    printActions(context, actions, options);
    const unlocked = lock && describeUnlocked(lock);
    if (unlocked !== undefined) context.stderr.note(unlocked);
    for (const { text } of loaded.certificates) context.stderr.note(text);
    for (const line of notAllowed.lines) context.stderr.note(line);
    if (notChosen)
      context.stderr.note(
        `and up to ${notChosen.maxActive} more relays, which the agent chooses when it starts. To see them, run: ${await commandFor(context, 'portal list', desired.file)}`,
      );
  }
  return notChosen || actions.some(({ kind }) => kind !== 'keep') ? 3 : 0;
}

/** Compares with a git commit, for pull requests. */
async function against(
  context: Context,
  { file }: Desired,
  ref: string,
  options: Pick<Options, 'format'>,
): Promise<ExitCode> {
  if (file === undefined)
    throw new PortalError('usage', '--against needs a file in git, and cannot compare standard input');
  const { planAgainst } = await import('../plan/against.js');
  const actions = await planAgainst(context, file, ref);
  if (context.json) printEvent(context, 'plan', { actions, against: ref });
  else printActions(context, actions, options);
  return actions.some(({ kind }) => kind !== 'keep') ? 3 : 0;
}

function printActions(
  { stdout, stderr }: Context,
  actions: readonly Action[],
  { format }: Pick<Options, 'format'>,
): void {
  if (format === 'markdown') return planMarkdown(actions).forEach((line) => stdout.data(line));
  for (const line of planLines(actions, createStyle(stdout.color), stdout.columns)) stdout.line(line);
  stderr.note(summaryOf(actions));
}
