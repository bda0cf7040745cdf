import type { LogEntry } from '../control/history.js';
import { printable, type Style } from '../text/style.js';

interface How {
  readonly style: Style;
  /** Shows the fields for programs, too. */
  readonly isVerbose: boolean;
}

/** A line of a log for people: the message with its fields, and the hint on a line of its own. Has no time. */
export function logLines(
  { level, message, fields }: Pick<LogEntry, 'level' | 'message' | 'fields'>,
  { style, isVerbose }: How,
): string[] {
  const { bold, dim, red, yellow } = style;
  const { service, reason, err, error, hint, ...others } = fields;
  const label = { debug: '', info: '', warn: yellow('warning: '), error: red('error: ') }[level];
  const subject = service === undefined ? '' : `${bold(textOf(service))}: `;
  const why = [reason, err, error].find((each) => each !== undefined);
  const rest = Object.entries(others)
    .filter(([name]) => isVerbose || !FOR_PROGRAMS.has(name))
    .map(([name, value]) => `${name} ${textOf(value)}`);
  return [
    label +
      subject +
      printable(message) +
      (why === undefined ? '' : `: ${textOf(why)}`) +
      (rest.length === 0 ? '' : dim(` (${rest.join(', ')})`)),
    ...(hint === undefined ? [] : [`  ${textOf(hint)}`]),
  ];
}

/** Fields that only programs and --verbose need. */
const FOR_PROGRAMS: ReadonlySet<string> = new Set([
  'session',
  'lease',
  'code',
  'attempt',
  'count',
  'failures',
]);

function textOf(value: unknown): string {
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return value.map(textOf).join(', ');
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, each]) => `${printable(name)} ${textOf(each)}`)
      .join(', ');
  return printable(String(value));
}
