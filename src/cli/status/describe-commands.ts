import type { CommandStatus } from '../../reconcile/events.js';
import { formatWait } from '../text/amounts.js';
import { fitColumns } from '../text/columns.js';
import { describeExit, firstNames } from '../reporters/describe.js';
import { printable, type Style } from '../text/style.js';

/** The table of commands in `portal status`, after an empty line. Nothing without commands. */
export function describeCommands(
  commands: readonly CommandStatus[] = [],
  style: Style,
  width: number,
): string[] {
  if (commands.length === 0) return [];
  const rows = commands.map(({ name, state, waitsFor = [], pid, port, restarts, run }) => [
    printable(name),
    waitsFor.length > 0 ? `${state} for ${firstNames(waitsFor)}` : state,
    pid === undefined ? '' : String(pid),
    port === undefined ? '' : String(port),
    String(restarts),
    printable(run),
  ]);
  const [header, ...lines] = fitColumns([['COMMAND', 'STATE', 'PID', 'PORT', 'RESTARTS', 'RUNS'], ...rows], {
    optional: ['RUNS', 'RESTARTS', 'PID'],
    width,
  });
  return [
    '',
    style.dim(header!),
    ...lines.flatMap((line, index) => {
      const { state, exit, nextInMs = 0 } = commands[index]!;
      const why = exit ? [`  ${describeExit(exit)}; next start in ${formatWait(nextInMs)}`] : [];
      return [state === 'running' ? style.green(line) : style.yellow(line), ...why];
    }),
  ];
}
