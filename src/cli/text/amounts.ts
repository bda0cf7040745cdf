/** Parses and formats durations and sizes. */

const MS_OF = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES_OF = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/** `30s`, `5m`, `500ms` in milliseconds; a bare number is in `unit`. Undefined if invalid. */
export function parseDurationMs(text: string, unit: keyof typeof MS_OF): number | undefined {
  const [, amount, named] = /^(\d{1,15}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Math.round(Number(amount) * MS_OF[(named as keyof typeof MS_OF | undefined) ?? unit]);
}

/** `65536`, `64K`, `10M` in bytes, powers of 1024. Undefined if invalid. */
export function parseBytes(text: string): number | undefined {
  const [, amount, named = ''] = /^(\d{1,15})([KMG])?$/.exec(text) ?? [];
  return amount === undefined ? undefined : Number(amount) * BYTES_OF[named as keyof typeof BYTES_OF];
}

/** `5s`, `3m`, `2h`, `4d`: one unit is precise enough. */
export function formatAge(ms: number): string {
  const [amount, unit] = inLargestUnit(ms);
  return `${amount}${unit.charAt(0)}`;
}

/** `just now`, `5 seconds ago`, `1 hour ago`, for sentences. */
export function formatAgo(ms: number): string {
  const [amount, unit] = inLargestUnit(ms);
  return unit === 'second' && amount === 0 ? 'just now' : `${counted(amount, unit)} ago`;
}

/** `48 s`, `12 min`, `3 h`, `4 days`: a time until something, rounded up. */
export function formatWait(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1_000));
  if (seconds <= 120) return `${seconds} s`;
  if (seconds <= 7_200) return `${Math.ceil(seconds / 60)} min`;
  return seconds <= 172_800 ? `${Math.ceil(seconds / 3_600)} h` : `${Math.ceil(seconds / 86_400)} days`;
}

/** `2 March 2027 (in 92 days)`, in UTC; a time in the past has only its date. */
export function formatEnd(end: Date, now: number = Date.now()): string {
  const day = end.toLocaleDateString('en-GB', {
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  });
  const left = end.getTime() - now;
  return left < 0 ? day : `${day} (in ${counted(...inCalendarUnit(left))})`;
}

/** `30s`, `90s`, `10m`, `30d`: exact, as `parseDurationMs` reads it. */
export function formatSpan(ms: number): string {
  const [unit, size] = Object.entries(MS_OF).findLast(([, each]) => ms >= each && ms % each === 0) ?? ['', 1];
  return `${ms / size}${unit}`;
}

type Unit = 'second' | 'minute' | 'hour' | 'day' | 'month' | 'year';

const DAYS_OF_MONTH = 365.25 / 12;

/** From four months on in months, and from two years on in years, rounded. */
function inCalendarUnit(ms: number): [amount: number, unit: Unit] {
  const [amount, unit] = inLargestUnit(ms);
  if (unit !== 'day' || amount < 120) return [amount, unit];
  return amount < 730 ? [Math.round(amount / DAYS_OF_MONTH), 'month'] : [Math.round(amount / 365.25), 'year'];
}

function inLargestUnit(ms: number): [amount: number, unit: Unit] {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return [seconds, 'second'];
  if (seconds < 3600) return [Math.floor(seconds / 60), 'minute'];
  if (seconds < 86_400) return [Math.floor(seconds / 3600), 'hour'];
  return [Math.floor(seconds / 86_400), 'day'];
}

const counted = (amount: number, unit: Unit): string => `${amount} ${unit}${amount === 1 ? '' : 's'}`;

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** Local time, with the date if it is not today. */
export function timeText(at: number, now: number): string {
  const date = new Date(at);
  return date.toDateString() === new Date(now).toDateString() ? clockText(date) : dateText(at);
}

/** Local date and time. */
export function dateText(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clockText(date)}`;
}

/** Date and time in UTC, for times that people on other machines read: `2026-12-02 20:57 UTC`. */
export const utcText = (at: number): string =>
  `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

const clockText = (date: Date): string =>
  [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
