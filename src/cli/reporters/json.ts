import type { Output } from '../output.js';
import type { Reporter } from './reporter.js';

/** One JSON object a line on stdout: `time` and `event` first. */
export function jsonReporter(stdout: Output): Reporter {
  return {
    begin: () => undefined,
    event: ({ time, event, ...fields }) => stdout.line(JSON.stringify({ time, event, ...fields })),
    problems: () => undefined,
    warning: () => undefined,
    close: () => Promise.resolve(),
  };
}
