import { InvalidArgumentError, Option } from 'commander';
import { parseDurationMs } from './amounts.js';
import { parseId } from '../agent/inspect/history/ids.js';

/** The options of the command line that several commands have, or that are more than text. */

export const file = (): Option =>
  new Option(
    '-f, --file <file>',
    'the configuration; - is standard input (default: $PORTAL_FILE, or portal.yaml here or above)',
  );

/** In `logs` -f follows, as it does in other programs' `logs`. */
export const agentOf = (flags = '-f, --file <file>'): Option =>
  new Option(flags, 'the configuration it runs for (default: $PORTAL_FILE, or portal.yaml here or above)');

/** Of several that run, and of one without a file. */
export const pidOf = (): Option =>
  new Option('--pid <pid>', 'the agent that is this process; `portal status` lists several')
    .conflicts('file')
    .argParser((text) => {
      if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('It is the id of a process.');
      return Number(text);
    });

export const identityOf = (): Option =>
  new Option(
    '-f, --file <file>',
    'use the identity of this configuration (default: portal.yaml here or above)',
  );

/** Values that are repeated: for those that may have a comma in them. */
export const repeated = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((value: string, values: string[] | undefined) => [
    ...(values ?? []),
    value,
  ]);

/** Values that are repeated, or separated by commas. */
export const list = (flags: string, description: string): Option =>
  choices(flags, description, /./, 'A value is empty.');

/** In milliseconds; a bare number is in seconds. */
export const duration = (flags: string, description: string, minMs = 0): Option =>
  new Option(flags, description).argParser((text) => {
    const ms = parseDurationMs(text, 's');
    if (ms === undefined || ms < minMs || ms > MAX_DURATION_MS)
      throw new InvalidArgumentError(
        `It is a time such as 30, 30s or 5m,${minMs > 0 ? ' above 0 and' : ''} of 24 days at most.`,
      );
    return ms;
  });

/** What a timer holds. */
const MAX_DURATION_MS = 24 * 86_400_000;

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
/** The last label is no number: it would be an IP address, and nothing is below one. */
const DOMAIN = new RegExp(`^(${LABEL}\\.)*(?![0-9]+$)${LABEL}$`);

/** As it is compared with what visitors ask for, which TLS and DNS do not tell capitals from. */
export const domain = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text: string) => {
    const name = text.toLowerCase().replace(/\.$/, '');
    // A label and its dot below it are a hostname still.
    if (!DOMAIN.test(name) || name.length > 253 - 64)
      throw new InvalidArgumentError('It is a domain, as in relay.example.com.');
    return name;
  });

export const portRange = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text: string) => {
    const [, from, to] = (/^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []).map(Number);
    const range = { from: from ?? 0, to: to || (from ?? 0) };
    if (range.from < 1 || range.to > 65_535 || range.from > range.to)
      throw new InvalidArgumentError('It is a range of ports, as in 20000-20999.');
    return range;
  });

export const port = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((value) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < 1 || number > 65_535) {
      throw new InvalidArgumentError('It is a port from 1 to 65535.');
    }
    return number;
  });

/** The same, of one kind. */
export const choices = (flags: string, description: string, pattern: RegExp, what: string): Option =>
  new Option(flags, description).argParser((text: string, before: string[] | undefined) => {
    const values = text.split(',').map((each) => each.trim());
    if (!values.every((each) => pattern.test(each))) throw new InvalidArgumentError(what);
    return [...(before ?? []), ...values];
  });

/** A moment; a duration is so long ago. */
export const since = (flags: string, description: string): Option =>
  new Option(flags, description).argParser((text) => {
    const ago = parseDurationMs(text, 's');
    // What else `Date.parse` takes, as "last week 3", is hardly what was meant.
    const isDate = /^\d{4}-\d\d-\d\d/.test(text);
    const at = ago !== undefined ? Date.now() - ago : isDate ? Date.parse(text) : NaN;
    if (Number.isNaN(at))
      throw new InvalidArgumentError('It is a time such as 30m or 2h, or a date as in 2027-01-31T18:00:00Z.');
    return at;
  });

export const count = (flags: string, description: string, max: number): Option =>
  new Option(flags, description).argParser((text) => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < 1 || number > max)
      throw new InvalidArgumentError(`It is a number from 1 to ${max}.`);
    return number;
  });

export const serviceName = (): Option =>
  new Option('--name <name>', 'its name after `portal-` (default: the folder of the file)').argParser(
    (name) => {
      if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$/.test(name))
        throw new InvalidArgumentError('It is letters, digits, - and _, 60 at most.');
      return name;
    },
  );

/** Of which something is there: each id begins with what a variable of a script holds that is not set. */
export function something(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It is empty.');
  return text;
}

/** As `portal requests` prints it. */
export function requestId(text: string): number {
  const id = parseId(text);
  if (id === undefined) throw new InvalidArgumentError('It is an id of `portal requests`, such as 12-345.');
  return id;
}
