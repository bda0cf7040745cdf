import { nearest } from '../../config/words/suggest.js';
import { PortalError } from '../../lib/errors.js';
import { LIMITS } from '../../protocol/limits.js';
import { ADJUSTABLE, LIMIT_NAMES, rangeOf, type LimitName, type RelayLimits } from '../../relay/limits.js';
import { formatSpan, parseBytes, parseDurationMs } from '../text/amounts.js';

/** `portal relay --limit NAME=VALUE`. */

/** Parses typed limits. Throws `usage`. */
export function parseLimits(typed: readonly string[]): Partial<RelayLimits> {
  return Object.fromEntries(typed.map(parseLimit));
}

function parseLimit(text: string): [LimitName, number] {
  const [, name = text, amount = ''] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  if (!isLimit(name)) {
    const meant = nearest(name, LIMIT_NAMES);
    throw new PortalError('usage', `"${name}" is not a limit of a relay`, {
      hint: meant ? `Did you mean \`${meant}\`?` : '`portal relay --help` lists them all.',
    });
  }
  const { min, max } = rangeOf(name);
  const value = parseAmount(name, amount);
  if (value === undefined || value < min || value > max)
    throw new PortalError('usage', `"${amount}" is invalid for ${name}`, {
      hint: `Use ${kindOfAmount(name)} ${max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`}, for example ${name}=${exampleOf(name)}.`,
    });
  return [name, value];
}

const isDuration = (name: LimitName): boolean => name.endsWith('Ms');
const isSize = (name: LimitName): boolean => name.includes('Bytes');

function parseAmount(name: LimitName, text: string): number | undefined {
  if (isDuration(name)) return parseDurationMs(text, 'ms');
  if (isSize(name)) return parseBytes(text);
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function kindOfAmount(name: LimitName): string {
  if (isDuration(name)) return 'milliseconds, or a time such as 30s or 5m,';
  return isSize(name) ? 'bytes, or a size such as 64K or 10M,' : 'a number';
}

function exampleOf(name: LimitName): string {
  if (isDuration(name)) return '30s';
  return isSize(name) ? '10M' : '100';
}

function isLimit(name: string): name is LimitName {
  return Object.hasOwn(ADJUSTABLE, name);
}

/** For `portal relay --help`. */
export function limitsHelp(): string {
  const width = Math.max(...LIMIT_NAMES.map((name) => name.length));
  const lines = LIMIT_NAMES.map(
    (name) => `  ${name.padEnd(width)}  ${ADJUSTABLE[name].what} (${defaultOf(name)})`,
  );
  return [
    '',
    'Limits, with their defaults. Durations are in ms or with a unit (30s), sizes in bytes or with a unit (10M):',
    ...lines,
  ].join('\n');
}

/** For docs/reference/cli.md. */
export function limitsTable(): string {
  const rows = LIMIT_NAMES.map((name) => `| \`${name}\` | ${defaultOf(name)} | ${ADJUSTABLE[name].what} |`);
  return [
    'Repeat `--limit` for each limit. Durations are in milliseconds, or with a unit: `30s`, `5m`, `2h`, `7d`. Sizes are in bytes, or with a unit: `64K`, `10M`.',
    ['| limit | default | what |', '|---|--:|---|', ...rows].join('\n'),
  ].join('\n\n');
}

function defaultOf(name: LimitName): string {
  const value = LIMITS[name];
  if (value === 0) return 'none';
  return isDuration(name) ? formatSpan(value) : value.toLocaleString('en-US');
}
