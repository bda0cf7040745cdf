import type { Output } from '../output.js';
import { jsonLine } from '../print.js';
import { printable } from '../style.js';
import type { Reporter } from './reporter.js';

/** One JSON object a line on stdout: `time` and `event` first. What no event tells goes to stderr, for people. */
export function jsonReporter({ stdout, stderr }: { stdout: Output; stderr: Output }): Reporter {
  return {
    begin: () => undefined,
    event: ({ time, event, ...fields }) => stdout.line(jsonLine({ time, event, ...fields })),
    problems: () => undefined,
    warning: (message) => stderr.line(`warning: ${printable(message)}`),
    close: () => Promise.resolve(),
  };
}
