import { createStyle, printable } from '../style.js';
import { describeEvent } from './describe.js';
import { writeProblems, type TextOutputs } from './plain.js';
import { News } from './news.js';
import { Progress } from './progress.js';
import type { Reporter, TimedEvent } from './reporter.js';
import { HowToReach, writeAddresses, writeUnproven } from './summary.js';

/** Comes of itself at the start, and stands below the progress then. */
const isForLater = ({ event }: TimedEvent): boolean =>
  event === 'inspector' || event === 'notice' || event === 'target';

/** For a person at a terminal: progress by service, a summary once ready, then one line per change. */
export function terminalReporter(outputs: TextOutputs): Reporter {
  const { stdout, stderr } = outputs;
  const style = createStyle(stderr.color);
  let progress: Progress | undefined;
  const howToReach = new HowToReach(stderr);
  const news = new News(outputs.verbosity);
  /** Said once the progress has settled: a line amid it would be drawn over. */
  const later: TimedEvent[] = [];
  let isSettled = false;
  const showLater = (): void => {
    isSettled = true;
    for (const event of later.splice(0)) stderr.line(describeEvent(event, style));
  };

  const show = (event: TimedEvent): void => {
    if ((event.event === 'lease' || event.event === 'unplaced') && progress?.note(event)) return;
    if (event.event === 'served' && progress?.noteServed(event)) return;
    if (event.event === 'applied' || event.event === 'stopped') showLater();
    if (!news.isNews(event)) return;
    if (isForLater(event) && !isSettled) return void later.push(event);
    if (event.event !== 'ready') return stderr.line(describeEvent(event, style));
    // The progress that stands on the same screen shows them already.
    if (!stdout.isTTY || !progress?.isComplete) writeAddresses(stdout, event);
    writeUnproven(stderr, event);
    howToReach.note(event);
    showLater();
  };

  const ended = async (): Promise<void> => progress?.end();

  return {
    begin: (expected) => {
      progress = new Progress(stderr, expected);
    },
    event: (event) => {
      if (event.event === 'ready' || event.event === 'stopped') void ended().then(() => show(event));
      else show(event);
      if (event.event === 'started' || event.event === 'served') howToReach.note(event);
    },
    problems: (problems) => writeProblems(outputs, problems),
    warning: (message) => stderr.line(`${style.yellow('warning:')} ${printable(message)}`),
    close: ended,
  };
}
