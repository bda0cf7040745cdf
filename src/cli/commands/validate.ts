import { notAllowedYet } from '../allow/gate.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { reportWarnings, summarizeProblem } from '../failure.js';
import { load, loadOptions } from '../../library/load.js';
import { describeUnlocked, loadLockState, lockFields } from '../lock.js';
import { printEvent } from '../print.js';
import { createStyle } from '../text/style.js';

interface Options {
  readonly file?: string;
  readonly print?: true;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const loaded = await load(loadOptions(context, options.file));
  const { desired, effective, file, warnings } = loaded;
  const notAllowed = await notAllowedYet(context, loaded);
  const lock = await loadLockState(desired);
  const services = desired.services.map(({ service }) => service);
  if (context.json) {
    printEvent(context, 'valid', {
      file,
      services,
      warnings: warnings.map(summarizeProblem),
      ...(lock && { lock: lockFields(lock) }),
      ...notAllowed.fields,
      ...(options.print && { effective }),
    });
    return 0;
  }
  await reportWarnings(context, warnings);
  if (options.print) {
    const { stringify } = await import('yaml');
    context.stdout.write(stringify(effective));
  }
  const { green } = createStyle(context.stderr.color);
  const count = services.length === 1 ? '1 service' : `${services.length} services`;
  context.stderr.note(`${green('valid')}: ${file}, ${count}`);
  const unlocked = lock && describeUnlocked(lock);
  if (unlocked !== undefined) context.stderr.note(unlocked);
  for (const line of notAllowed.lines) context.stderr.note(line);
  return 0;
}
