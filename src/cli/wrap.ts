import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

/** Commands that a user copies as one line. */
const COMMAND = /^\s*(?:try|run): /;

/**
 * Breaks each line of `text` between words, so that it fits into `columns`. Continuation lines have the indentation of
 * their line. A word that is wider than `columns`, such as a URL, stays whole.
 */
export function wrapWords(text: string, columns: number): string {
  if (!Number.isFinite(columns)) return text;
  return text
    .split('\n')
    .map((line) => (COMMAND.test(stripVTControlCharacters(line)) ? line : wrapLine(line, columns)))
    .join('\n');
}

function wrapLine(line: string, columns: number): string {
  if (stringWidth(line) <= columns) return line;
  const indent = /^ */.exec(line)![0];
  const width = Math.max(1, columns - indent.length);
  return wrapAnsi(line.slice(indent.length), width, { hard: false })
    .split('\n')
    .map((part) => `${indent}${part}`)
    .join('\n');
}
