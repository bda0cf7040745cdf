import type { Output } from '../output.js';
import { jsonLine } from '../print.js';
import { printable } from '../text/style.js';
import type { Reporter } from './reporter.js';

/**
 * Writes one JSON object per line to stdout, with `time` and `event` first. Writes everything else to stderr, for
 * people.
 */
export function jsonReporter({ stdout, stderr }: { stdout: Output; stderr: Output }): Reporter {
  return {
    begin: () => undefined,
    event: ({ time, event, ...fields }) => stdout.data(jsonLine({ time, event, ...fields })),
    problems: () => undefined,
    warning: (message) => stderr.line(`warning: ${printable(message)}`),
    close: () => Promise.resolve(),
  };
}
