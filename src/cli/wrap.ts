import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';
import { SIGNS } from './signs.js';

/** A line of a file with its number. */
const FILE_LINE = /^\s*>? +\d* \| /;
/** A command that a user copies. */
const COMMAND = /^try: /;
/** An argument, quoted for a shell. */
const ARGUMENT = /(?:'[^']*'|\\.|[^\s'\\])+/g;

/**
 * Breaks each line of `text` between words, so that it fits into `columns`. Continuation lines have the indentation of
 * their line. A word that is wider than `columns`, such as a URL, stays whole. A command breaks between arguments, with a
 * backslash, and works when it is copied with all its lines.
 */
export function wrapWords(text: string, columns: number): string {
  if (!Number.isFinite(columns)) return text;
  return text
    .split('\n')
    .map((line) => {
      const plain = stripVTControlCharacters(line);
      if (FILE_LINE.test(plain)) return line;
      return COMMAND.test(plain) ? wrapCommand(line, columns) : wrapLine(line, columns);
    })
    .join('\n');
}

function wrapCommand(line: string, columns: number): string {
  if (stringWidth(line) <= columns) return line;
  const lines: string[] = [];
  for (const word of line.match(ARGUMENT) ?? []) {
    const last = lines.at(-1);
    const longer = `${last ?? ''} ${word}`;
    if (last === undefined) lines.push(word);
    else if (stringWidth(longer) + BREAK.length <= columns) lines[lines.length - 1] = longer;
    else lines.push(stringWidth(word) + INDENTED.length <= columns ? INDENTED + word : word);
  }
  return lines.join(`${BREAK}\n`);
}

const BREAK = ' \\';
const INDENTED = '  ';

const STYLES = `(?:${String.fromCharCode(27)}\\[[\\d;]*m)*`;
/** Codes for style, spaces, and a mark such as ✓ with its own style. */
const START = new RegExp(`^(${STYLES})( *)(${STYLES}[${Object.values(SIGNS).join('')}]${STYLES} )?`);

function wrapLine(line: string, columns: number): string {
  if (stringWidth(line) <= columns) return line;
  const [start, codes, indent, mark = ''] = START.exec(line) as unknown as [string, string, string, string?];
  const hanging = indent + ' '.repeat(stringWidth(mark));
  const width = Math.max(1, columns - hanging.length);
  return wrapAnsi(codes + line.slice(start.length), width, { hard: false })
    .split('\n')
    .map((part, index) => (index === 0 ? indent + mark : hanging) + part)
    .join('\n');
}
