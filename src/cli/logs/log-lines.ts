import { timeText } from '../text/amounts.js';
import type { Entry } from '../control/history.js';
import { logLines } from './log-text.js';
import { describeEvent } from '../reporters/describe.js';
import { EventFilter, STEPS } from '../reporters/event-filter.js';
import { printable, type Style } from '../text/style.js';
import type { Verbosity } from '../verbosity.js';

/** The lines of `portal logs`, for people: what `portal up` prints, with the time. */
export class LogLines {
  readonly #style: Style;
  readonly #verbosity: Verbosity;
  /** Knows which events repeat what was printed before. */
  readonly #filter = new EventFilter();

  constructor(style: Style, verbosity: Verbosity) {
    this.#style = style;
    this.#verbosity = verbosity;
  }

  /** Takes every entry, in order. Undefined for one that only --verbose shows. */
  describe(entry: Entry, now: number): string | undefined {
    const isShown = this.#isShown(entry);
    if (!isShown && this.#verbosity !== 'verbose') return undefined;
    const [first = '', ...more] = this.#lines(entry);
    return [`${this.#style.dim(timeText(Date.parse(entry.time), now))} ${first}`, ...more].join('\n');
  }

  #isShown(entry: Entry): boolean {
    switch (entry.event) {
      case 'log':
        return entry.level === 'warn' || entry.level === 'error';
      case 'lease':
        return !STEPS.has(entry.phase);
      case 'target':
      case 'health':
      case 'served':
      case 'command':
        return this.#filter.isShown(entry);
      default:
        return true;
    }
  }

  #lines(entry: Entry): string[] {
    if (entry.event === 'log')
      return logLines(entry, { style: this.#style, isVerbose: this.#verbosity === 'verbose' });
    const lines = describeEvent(entry, this.#style).split('\n');
    // A background agent has no terminal to print code frames, so print the problems here.
    if (entry.event === 'rejected')
      for (const { file, line, column, message } of entry.errors)
        lines.push(`  ${printable(file)}:${line}:${column}: ${printable(message)}`);
    return lines;
  }
}
