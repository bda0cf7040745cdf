import { stripVTControlCharacters } from 'node:util';
import stringWidth from 'string-width';
import wrapAnsi from 'wrap-ansi';
import { SIGNS } from './signs.js';

const STYLES = `(?:${String.fromCharCode(27)}\\[[\\d;]*m)*`;

/** A line of a file with its number, or the marks below it. */
const FILE_LINE = /^\s*>? +\d* \|(?: |$)/;
/** A command that a user copies. */
const COMMAND = /^(?:try:| *\$) /;
/** An argument, quoted for a shell. */
const ARGUMENT = /(?:'[^']*'|\\.|[^\s'\\])+/g;
/** A sentence that ends with one command, with options. */
const ENDS_WITH_COMMAND = /^(.*:) (portal [a-z]+(?=.* --?[a-z])(?: (?:'[^']*'|\\.|[^\s'\\,;])+)+)(?<![.:])$/s;

/**
 * Breaks each line of `text` between words, so that it fits into `columns`. Continuation lines have the indentation of
 * their line. A word that is wider than `columns`, such as a URL, stays whole, as does a short command in a sentence. A command
 * with options at the end of a sentence gets lines of its own. A command on its own breaks between arguments, with a backslash,
 * and works when it is copied with all its lines. Lines of a file are cut around the marks below one of them.
 */
export function wrapWords(text: string, columns: number): string {
  if (!Number.isFinite(columns)) return text;
  const lines = text.split('\n');
  const wrapped: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const first = at;
    while (at < lines.length && FILE_LINE.test(stripVTControlCharacters(lines[at]!))) at++;
    wrapped.push(...cutExcerpt(lines.slice(first, at), columns));
    if (at < lines.length) wrapped.push(wrapOther(lines[at]!, columns));
  }
  return wrapped.join('\n');
}

function wrapOther(line: string, columns: number): string {
  if (stringWidth(line) <= columns) return line;
  if (COMMAND.test(stripVTControlCharacters(line))) return wrapCommand(line, columns);
  const [, indent, before, text, after] = STYLED.exec(line) as unknown as string[];
  const [, sentence, command] = ENDS_WITH_COMMAND.exec(text!) ?? [];
  if (sentence === undefined) return wrapLine(line, columns);
  const styled = (part: string): string => indent! + before! + part + after!;
  return `${wrapLine(styled(sentence), columns)}\n${wrapCommand(styled(command!), columns)}`;
}

/** Breaks a command between arguments, with a backslash, so that it works when it is copied with all its lines. */
export function wrapCommand(line: string, columns: number): string {
  if (!Number.isFinite(columns) || stringWidth(line) <= columns) return line;
  const indent = /^ */.exec(line)![0];
  const lines: string[] = [];
  for (const word of line.match(ARGUMENT) ?? []) {
    const last = lines.at(-1);
    const longer = `${last ?? ''} ${word}`;
    if (last === undefined) lines.push(indent + word);
    else if (stringWidth(longer) + BREAK.length <= columns) lines[lines.length - 1] = longer;
    else lines.push((fits(indent + INDENTED + word, columns) ? indent + INDENTED : '') + word);
  }
  return lines.join(`${BREAK}\n`);
}

const fits = (word: string, columns: number): boolean => stringWidth(word) + BREAK.length <= columns;

const BREAK = ' \\';
const INDENTED = '  ';

/** The style of a line, its text with the number, and the end of the style. */
const STYLED = new RegExp(`^( *)(${STYLES})(.*?)(${STYLES})$`, 's');
const MARKS = /^\s*\| *(\^+)$/;

/** Cuts lines of a file to `columns`, all at the same place, so that the marks stay below what they are about. */
function cutExcerpt(lines: readonly string[], columns: number): readonly string[] {
  if (lines.every((line) => stringWidth(line) <= columns)) return lines;
  const marks = lines
    .map((line) => MARKS.exec(stripVTControlCharacters(line)))
    .find((found) => found !== null);
  const number = marks ? marks[0].indexOf('|') + 2 : 0;
  const room = Math.max(1, columns - number);
  const end = (marks?.[0].length ?? 0) - number;
  const start = end - (marks?.[1]!.length ?? 0);
  // One column on each side is for the sign of what is cut off.
  const from = Math.max(0, Math.min(end - room + 1, start - 1));
  return lines.map((line) => {
    const [, indent, before, text, after] = STYLED.exec(line) as unknown as string[];
    const plain = indent! + text!;
    const body = plain.slice(number);
    const shown = body.slice(from, from + room);
    const left = body.slice(0, from).trim() === '' ? shown : `…${shown.slice(1)}`;
    const cut = body.length > from + room ? `${left.slice(0, -1)}…` : left;
    return (indent! + before! + plain.slice(indent!.length, number) + cut + after!).trimEnd();
  });
}

/** The name of the program that printed a line, with its own style. */
const OUTPUT = new RegExp(`^${STYLES}[\\w./-]+ \\|${STYLES} `);

/** Codes for style, spaces, and a mark such as ✓ with its own style. */
const START = new RegExp(`^(${STYLES})( *)(${STYLES}[${Object.values(SIGNS).join('')}]${STYLES} )?`);

function wrapLine(line: string, columns: number): string {
  if (stringWidth(line) <= columns) return line;
  const [prefix] = OUTPUT.exec(line) ?? [];
  if (prefix !== undefined && stringWidth(prefix) < columns / 2)
    return wrapAnsi(line.slice(prefix.length), columns - stringWidth(prefix), { hard: false })
      .split('\n')
      .map((part) => prefix + part)
      .join('\n');
  const [start, codes, indent, mark = ''] = START.exec(line) as unknown as [string, string, string, string?];
  const hanging = indent + ' '.repeat(stringWidth(mark));
  const width = Math.max(1, columns - hanging.length);
  return wrapAnsi(glued(codes + line.slice(start.length), width), width, { hard: false })
    .replaceAll(GLUE, ' ')
    .split('\n')
    .map((part, index) => (index === 0 ? indent + mark : hanging) + part)
    .join('\n');
}

/** Stands for a space inside a command, where a line does not break. Private, so that no text has it. */
const GLUE = '\uE000';
/** `portal up` in backticks, or without: its words, then options and their values. */
const IN_SENTENCE =
  /`[^`\n]+`|\bportal [a-z]+(?: (?:create|export|install|list|new|release|revoke|show|uninstall|wipe))?(?: (?:--?[a-z][\w-]*|[A-Z]{2,}\b))*/g;

/** Keeps each command of a sentence on one line, if it fits. */
const glued = (line: string, width: number): string =>
  line.replace(IN_SENTENCE, (command) =>
    stringWidth(command) > width ? command : command.replaceAll(' ', GLUE),
  );
