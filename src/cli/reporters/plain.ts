import type { Problem } from '../../config/problem.js';
import type { formatProblem } from '../../config/frame.js';
import type { Output } from '../output.js';
import { createStyle, printable } from '../style.js';
import { describeEvent } from './describe.js';
import { News } from './news.js';
import type { Reporter } from './reporter.js';
import { HowToReach, writeAddresses } from './summary.js';

export interface TextOutputs {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly formatProblem: typeof formatProblem;
}

/** One line per change on stderr; once ready, the addresses on stdout. For pipes, CI and dumb terminals. */
export function plainReporter(outputs: TextOutputs): Reporter {
  const { stderr } = outputs;
  const style = createStyle(stderr.color);
  const news = new News();
  const howToReach = new HowToReach(stderr);
  return {
    begin: () => undefined,
    event: (event) => {
      if (news.isNews(event)) stderr.line(describeEvent(event, style));
      if (event.event === 'ready') writeAddresses(outputs.stdout, event);
      howToReach.note(event);
    },
    problems: (problems) => writeProblems(outputs, problems),
    warning: (message) => stderr.line(`${style.yellow('warning:')} ${printable(message)}`),
    close: () => Promise.resolve(),
  };
}

export function writeProblems({ stderr, formatProblem }: TextOutputs, problems: readonly Problem[]): void {
  for (const problem of problems) stderr.line(formatProblem(problem, { color: stderr.color }));
}
