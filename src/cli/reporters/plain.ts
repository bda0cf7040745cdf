import type { Problem } from '../../config/text/problem.js';
import type { formatProblem } from '../../config/text/frame.js';
import type { PortalEvent } from '../../reconcile/events.js';
import { LeaseBoard } from '../../library/lease-board.js';
import type { Output } from '../output.js';
import { createStyle, printable } from '../text/style.js';
import type { Verbosity } from '../verbosity.js';
import { EventGroups } from './event-groups.js';
import { describeEvent } from './describe.js';
import { EventFilter } from './event-filter.js';
import type { Reporter } from './reporter.js';
import { AccessHints, writeAddresses, type Lines } from './summary.js';

export interface TextOutputs {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly verbosity: Verbosity;
  readonly formatProblem: typeof formatProblem;
}

/** One line per change on stderr, and the addresses on stdout once ready. For pipes, CI and simple terminals. */
export function plainReporter(outputs: TextOutputs): Reporter {
  const { stdout, stderr, verbosity } = outputs;
  const style = createStyle(stderr.color);
  const filter = new EventFilter(verbosity);
  const start = new Start();
  const accessHints = new AccessHints(stderr);
  const groups = new EventGroups(style, (line) => stderr.line(line));
  return {
    begin: (expected) => {
      start.begin(new LeaseBoard(expected));
      accessHints.begin(expected);
    },
    event: (event) => {
      const open = start.note(event);
      if (verbosity === 'normal') for (const lease of open) stderr.line(describeEvent(lease, style));
      if (event.event === 'ready') writeAddresses(stdout, event);
      if (filter.isShown(event)) groups.print(event);
      groups.note(event);
      if (verbosity !== 'quiet') accessHints.note(event);
    },
    problems: (problems, severity) => {
      if (severity !== 'warning' || verbosity !== 'quiet') writeProblems(outputs, problems);
    },
    warning: (message) => stderr.note(`${style.yellow('warning:')} ${printable(message)}`),
    close: () => {
      groups.flush();
      if (verbosity !== 'quiet') accessHints.end();
      return Promise.resolve();
    },
  };
}

/**
 * If a service fails at the start, there is no `ready` event. The other services are then reported with the first
 * pass.
 */
class Start {
  #board: LeaseBoard | undefined;
  readonly #open = new Map<string, PortalEvent>();

  begin(board: LeaseBoard): void {
    this.#board = board;
  }

  /** The leases to report now. */
  note(event: PortalEvent): PortalEvent[] {
    if (!this.#board) return [];
    this.#board.note(event);
    if (event.event === 'lease') {
      const key = `${event.service} ${event.relay}`;
      if (event.phase === 'ready') this.#open.set(key, event);
      else this.#open.delete(key);
    }
    if (event.event !== 'applied' && event.event !== 'ready') return [];
    const isComplete = this.#board.services('pending').length + this.#board.services('failed').length === 0;
    this.#board = undefined;
    return isComplete || event.event === 'ready' ? [] : [...this.#open.values()];
  }
}

export function writeProblems(
  { stderr, formatProblem }: { stderr: Lines; formatProblem: TextOutputs['formatProblem'] },
  problems: readonly Problem[],
): void {
  for (const problem of problems) stderr.line(formatProblem(problem, { color: stderr.color }));
}
