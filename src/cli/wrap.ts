import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';

/** Commands that a user copies as one line, and lines of a file with their number. */
const WHOLE = /^\s*(?:(?:try|run): |>? +\d* \| )/;

/**
 * Breaks each line of `text` between words, so that it fits into `columns`. Continuation lines have the indentation of
 * their line. A word that is wider than `columns`, such as a URL, stays whole.
 */
export function wrapWords(text: string, columns: number): string {
  if (!Number.isFinite(columns)) return text;
  return text
    .split('\n')
    .map((line) => (WHOLE.test(stripVTControlCharacters(line)) ? line : wrapLine(line, columns)))
    .join('\n');
}

/** Spaces at the start, after codes for style. */
const INDENT = new RegExp(`^((?:${String.fromCharCode(27)}\\[[\\d;]*m)*)( *)`);

function wrapLine(line: string, columns: number): string {
  if (stringWidth(line) <= columns) return line;
  const [start, codes, indent] = INDENT.exec(line) as unknown as [string, string, string];
  const width = Math.max(1, columns - indent.length);
  return wrapAnsi(codes + line.slice(start.length), width, { hard: false })
    .split('\n')
    .map((part) => `${indent}${part}`)
    .join('\n');
}
