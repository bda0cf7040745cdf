import { InvalidArgumentError, Option } from 'commander';
import { parseDurationMs } from '../text/amounts.js';
import { parseId } from '../../agent/inspect/history/ids.js';

/** Options that several commands share, and options whose values are parsed. */

export const file = (): Option =>
  new Option(
    '-f, --file <file>',
    'use this configuration; - is standard input (default: $PORTAL_FILE, or portal.yaml here or above)',
  );

/** `logs` passes other flags: there `-f` means follow, as in other programs. */
export const agentOf = (flags = '-f, --file <file>'): Option =>
  new Option(
    flags,
    'use the agent of this configuration (default: $PORTAL_FILE, or portal.yaml here or above)',
  );

/** Chooses one of several agents, or an agent without a file. */
export const pidOf = (): Option =>
  new Option('--pid <pid>', 'use the agent with this process ID; `portal status` lists them')
    .conflicts('file')
    .argParser((text) => {
      if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('Use a process ID, such as 4711.');
      return Number(text);
    });

export const identityOf = (): Option =>
  new Option(
    '-f, --file <file>',
    'use the identity of this configuration (default: portal.yaml here or above)',
  );

/** Recorded requests carry the configuration that they were recorded for. */
export const recordedFor = (): Option =>
  new Option(
    '-f, --file <file>',
    'show requests of this configuration and its identity (default: portal.yaml here or above)',
  );

/** A repeatable option whose values may contain commas. */
export const repeated = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((value: string, values: string[] | undefined) => [
    ...(values ?? []),
    value,
  ]);

/** A repeatable option whose values may also be separated by commas. */
export const list = (flags: string, description: string): Option =>
  choices(flags, description, /./, 'A value is empty.');

/** In milliseconds; a bare number is in seconds. */
export const duration = (flags: string, description: string, minMs = 0): Option =>
  new Option(flags, description).argParser((text) => {
    const ms = parseDurationMs(text, 's');
    if (ms === undefined || ms < minMs || ms > MAX_DURATION_MS)
      throw new InvalidArgumentError(
        `Use a time such as 30, 30s or 5m,${minMs > 0 ? ' above 0 and' : ''} at most 24 days.`,
      );
    return ms;
  });

/** The longest timeout that Node's timers accept, in whole days. */
const MAX_DURATION_MS = 24 * 86_400_000;

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
/** The last label is not a number: that would be an IP address, which has no subdomains. */
const DOMAIN = new RegExp(`^(${LABEL}\\.)*(?![0-9]+$)${LABEL}$`);

/** A domain in lower case, because TLS and DNS ignore case. */
export const domain = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text: string) => {
    const name = text.toLowerCase().replace(/\.$/, '');
    // A label of 63 characters and a dot must fit before it.
    if (!DOMAIN.test(name) || name.length > 253 - 64)
      throw new InvalidArgumentError('Use a domain, such as relay.example.com.');
    return name;
  });

export const portRange = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text: string) => {
    const [, from, to] = (/^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []).map(Number);
    const range = { from: from ?? 0, to: to || (from ?? 0) };
    if (range.from < 1 || range.to > 65_535 || range.from > range.to)
      throw new InvalidArgumentError('Use a range of ports, such as 20000-20999.');
    return range;
  });

export const port = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < 1 || number > 65_535) {
      throw new InvalidArgumentError('Use a port from 1 to 65535.');
    }
    return number;
  });

/** A list whose values match `pattern`. `expected` tells the user what to type instead. */
export const choices = (flags: string, description: string, pattern: RegExp, expected: string): Option =>
  new Option(flags, description).argParser((text: string, before: string[] | undefined) => {
    const values = text.split(',').map((each) => each.trim());
    if (!values.every((each) => pattern.test(each))) throw new InvalidArgumentError(expected);
    return [...(before ?? []), ...values];
  });

/** A point in time, or a duration that is counted back from now; milliseconds since the epoch. */
export const since = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text) => {
    const at = pointInTime(text, -1);
    if (Number.isNaN(at))
      throw new InvalidArgumentError('Use a time such as 30m or 2h, or a date such as 2027-01-31T18:00:00Z.');
    return at;
  });

/** A point in time, or a duration from now; milliseconds since the epoch. */
export const until = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text) => {
    const at = pointInTime(text, 1);
    if (!(at > Date.now()))
      throw new InvalidArgumentError(
        'Use a time such as 2h or 7d, or a future date such as 2027-01-31T18:00:00Z.',
      );
    return at;
  });

/** Milliseconds since the epoch: a date, or a duration before (-1) or after now. NaN if it is neither. */
function pointInTime(text: string, sign: 1 | -1): number {
  const ms = parseDurationMs(text, 's');
  if (ms !== undefined) return Date.now() + sign * ms;
  // `Date.parse` also accepts text such as "last week 3".
  return /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
}

export const count = (flags: string, description: string, max: number, min = 1): Option =>
  new Option(flags, description).argParser((text) => {
    const number = Number(text);
    if (text.trim() === '' || !Number.isInteger(number) || number < min || number > max)
      throw new InvalidArgumentError(`Use a number from ${min} to ${max}.`);
    return number;
  });

export const serviceName = (): Option =>
  new Option('--name <name>', 'set its name after `portal-` (default: the folder of the file)').argParser(
    (name) => {
      if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$/.test(name))
        throw new InvalidArgumentError('Use at most 60 letters, digits, - and _.');
      return name;
    },
  );

/** Rejects empty text: it is the beginning of every id, and an unset variable of a script expands to it. */
export function nonEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}

/** An id as `portal requests` prints it. */
export function requestId(text: string): number {
  const id = parseId(text);
  if (id === undefined)
    throw new InvalidArgumentError(
      'List the recorded requests with `portal requests`, and use an id from there, such as 12-345.',
    );
  return id;
}

/** Of commands that run an agent. */
export const metrics = (): Option =>
  new Option(
    '--metrics <address>',
    'serve Prometheus metrics, /ready and /healthz here, over plain HTTP; a bare port is on loopback',
  );
