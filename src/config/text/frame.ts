import { styleText } from 'node:util';
import type { Problem } from './problem.js';
import { MASK } from '../variables/secrets.js';
import type { Place, Source } from './source.js';

const LINES_BEFORE = 2;
const LINES_AFTER = 1;
/** Longer lines are cut around the place. */
const MAX_WIDTH = 120;
/**
 * How much of a line to read on either side of the place. A line may be megabytes long, with a problem in every
 * character.
 */
const MAX_CHECKED = 8 * MAX_WIDTH;

/**
 * The lines around a place with a caret under it, secrets masked, without colour:
 *
 *     2 | services:
 *     3 |   web:
 *   > 4 |     taget: 3000
 *       |     ^^^^^
 *     5 |     alpn: [h2]
 */
export function codeFrame(place: Place, secrets: readonly Place[]): string {
  const { source } = place;
  const at = source.position(place.start);
  const first = Math.max(1, at.line - LINES_BEFORE);
  const last = Math.min(source.lineStarts.length, at.line + LINES_AFTER);
  const gutter = String(last).length;
  const rows: string[] = [];
  for (let line = first; line <= last; line += 1) {
    const isPlace = line === at.line;
    const masked = maskedLine(source, line, secrets, isPlace ? at.column - 1 : 0);
    const caretAt = isPlace ? masked.columnOf(at.column - 1) : 0;
    const cut = isPlace ? Math.max(0, caretAt - MAX_WIDTH / 2) : 0;
    const text = clip(masked.text, cut);
    rows.push(`${isPlace ? '>' : ' '} ${String(line).padStart(gutter)} | ${text}`.trimEnd());
    if (!isPlace) continue;
    const end = masked.columnOf(at.column - 1 + Math.max(1, place.end - place.start));
    const width = Math.max(1, Math.min(end, cut + text.length) - caretAt);
    const indent = masked.text.slice(cut, caretAt).replace(/[^\t]/g, ' ');
    rows.push(`  ${' '.repeat(gutter)} | ${indent}${'^'.repeat(width)}`);
  }
  // Do not show an empty line after the final line break.
  return rows.filter((row, index) => index < rows.length - 1 || !/^ +\d+ \|$/.test(row)).join('\n');
}

/** `${NAME}` and `${NAME:?message}` hold no secret, and the name is what the user must set. A default may be one. */
const VARIABLE = /^(["']?)\$\{[A-Za-z_]\w*(:\?[^}]*)?\}\1$/;
const MAX_VARIABLE = 300;

const isVariable = ({ source, start, end }: Place): boolean =>
  end - start < MAX_VARIABLE && VARIABLE.test(source.text.slice(start, end));

interface MaskedLine {
  readonly text: string;
  /** The masked column of a 0-based column in the original. */
  columnOf(column: number): number;
}

function maskedLine(source: Source, line: number, secrets: readonly Place[], around: number): MaskedLine {
  const start = source.lineStarts[line - 1]!;
  const end = source.lineStarts[line] ?? source.text.length;
  const original = source.text.slice(start, end).replace(/\r?\n$/, '');
  const first = Math.max(0, around - MAX_CHECKED);
  const last = Math.min(original.length, around + MAX_CHECKED);
  const hidden = secrets
    .filter((secret) => secret.source === source && !isVariable(secret))
    .filter((secret) => secret.start < start + last && secret.end > start + first)
    .map((secret) => ({
      from: Math.max(first, secret.start - start),
      to: Math.min(last, secret.end - start),
    }))
    .toSorted((a, b) => a.from - b.from);
  let text = first > 0 ? '…' : '';
  let done = first;
  const columns = new Map<number, number>();
  const copy = (to: number): void => {
    for (; done < to; done += 1) {
      columns.set(done, text.length);
      text += printable(original[done]!);
    }
  };
  for (const { from, to } of hidden) {
    if (to <= done) continue;
    copy(from);
    for (; done < to; done += 1) columns.set(done, text.length);
    text += MASK;
  }
  copy(last);
  return { text, columnOf: (column) => columns.get(column) ?? text.length };
}

function clip(text: string, from: number): string {
  const part = text.slice(from, from + MAX_WIDTH);
  return `${from > 0 ? '…' : ''}${from > 0 ? part.slice(1) : part}${text.length > from + MAX_WIDTH ? '…' : ''}`;
}

/** Control characters in a file must not reach the terminal as escape sequences. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\t]|[\u2028-\u202e\u2066-\u2069]/gu, '\u{fffd}');
}

type Style = Parameters<typeof styleText>[0];

export interface ProblemFormat {
  readonly color: boolean;
  /** Default: 'error'. A warning says that it is one. */
  readonly severity?: 'error' | 'warning';
}

/** A problem in a compiler's format: `file:line:column: message`, the frame, the hint. */
export function formatProblem(problem: Problem, options: ProblemFormat): string {
  const paint = (style: Style, text: string): string =>
    options.color ? styleText(style, text, { validateStream: false }) : text;
  const place = `${problem.file}:${problem.line}:${problem.column}`;
  const message = printable(problem.message);
  const what =
    options.severity === 'warning' ? `${paint('yellow', 'warning:')} ${message}` : paint('red', message);
  const lines = [`${paint('bold', printable(place))}: ${what}`];
  for (const row of problem.frame?.split('\n') ?? []) {
    lines.push(`  ${row.startsWith('>') ? row : paint('dim', row)}`);
  }
  if (problem.hint !== undefined) lines.push(`  ${paint('cyan', 'hint')}: ${printable(problem.hint)}`);
  return lines.join('\n');
}
