import type { AgentStatus } from '../../reconcile/events.js';
import { errorLines } from '../reporters/describe.js';
import { describeHeldNow } from '../reporters/describe-held.js';
import { describeCommands } from './describe-commands.js';
import { filled } from '../text/columns.js';
import { formatAge } from '../text/amounts.js';
import { printable, type Style } from '../text/style.js';
import { describeLeases } from './describe-leases.js';
import { describeRelays } from './describe-relays.js';

/** Formats the status as lines of text. The table of services has fewer columns where `width` is small. */
export function describeStatus(status: AgentStatus, style: Style, now: number, width = Infinity): string[] {
  const up = formatAge(now - Date.parse(status.startedAt));
  const head = [status.file ?? 'no file', `pid ${status.pid}`, `up ${up}`];
  return [
    ...filled(head, width, ' · ').map(style.bold),
    `identity ${status.identity}`,
    ...(status.ca === undefined ? [] : [`local CA ${status.ca}`]),
    ...(status.inspector === undefined ? [] : [`inspector ${printable(status.inspector)}`]),
    ...describeRejected(status, style),
    '',
    ...describeLeases(status, style, now, width),
    ...describeHeldNow(status, style, now),
    ...describeCommands(status.commands, style, width),
    '',
    ...describeRelays(status.relays, style, width),
    ...describeRegistry(status),
  ];
}

function describeRejected({ rejected }: AgentStatus, style: Style): string[] {
  if (rejected.length === 0) return [];
  return [
    style.yellow(
      rejected.every(({ code }) => code === 'config_not_allowed')
        ? 'the file on disk asks for more than you allowed; to allow it, run `portal allow`. The agent runs the last allowed one:'
        : rejected.some(({ code }) => code === 'config_not_found')
          ? 'the file was deleted; the agent runs the last valid one:'
          : 'the file on disk has errors; the agent runs the last valid one:',
    ),
    ...rejected.map(
      ({ file, line, column, message }) => `  ${printable(file)}:${line}:${column}: ${printable(message)}`,
    ),
  ];
}

function describeRegistry({ registry }: AgentStatus): string[] {
  if (!registry) return [];
  const { source, relays, inChains, error } = registry;
  const count = relays === 1 ? '1 relay' : `${relays} relays`;
  const chained =
    inChains === undefined ? '' : `; the pool does not use ${inChains} of them, which are part of a chain`;
  return [
    `registry ${printable(source)}: ${count}${chained}`,
    ...(error ? errorLines(error).map((line) => `  ${line}`) : []),
  ];
}
