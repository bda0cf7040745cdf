import stringWidth from 'string-width';
import type { ServiceView } from '../../protocol/agents.js';
import { formatAge, formatAgo, formatBytes, utcText } from '../text/amounts.js';
import { fitColumns } from '../text/columns.js';
import { relayName } from '../reporters/describe.js';
import { printable, type Style } from '../text/style.js';
import type { Merged, MergedAgent } from './merge.js';

/** Longest metadata of a service in the table. */
const MAX_METADATA_CHARS = 80;
const INDENT = '  ';
const DAY_MS = 86_400_000;

/** Formats agents and names. Text from relays and other agents is made safe for the terminal. */
export function describeAgents(
  { agents, names }: Merged,
  style: Style,
  now: number,
  width = Infinity,
): string[] {
  return [
    ...(agents.length === 0
      ? ['no agents']
      : agents.flatMap((agent) => describeAgent(agent, style, now, width))),
    ...describeNames(names, style, now, width),
  ];
}

function describeAgent(agent: MergedAgent, style: Style, now: number, width: number): string[] {
  const { id, identity, own, machine, version, state, since, lastSeen, from, services, relays } = agent;
  const ago = (time: string): string => formatAgo(now - Date.parse(time));
  const name = printable(machine ?? 'unnamed machine');
  if (state === 'disconnected') {
    const seen = `disconnected, last seen ${ago(lastSeen)}`;
    const at = relays.map(printable).join(', ');
    return [...packed([name, `${seen} at ${at}`], width).map((line) => style.dim(line)), ''];
  }
  const head = [
    name,
    state === 'connected' && since !== undefined
      ? `connected ${formatAge(now - Date.parse(since))}`
      : `reconnecting, last seen ${ago(lastSeen)}`,
    ...(id === undefined ? [] : [`id ${id}`]),
    ...(version === undefined ? [] : [`portal ${printable(version)}`]),
    ...(from === undefined ? [] : [`from ${printable(from)}`]),
  ];
  return [
    ...packed(head, width).map((line) => style.bold(line)),
    ...(own ? [] : [`  shared by ${printable(identity)}`]),
    ...describeServices(services, style, width - INDENT.length).map((line) => INDENT + line),
    '',
  ];
}

/** As many of `parts` on each line as fit. */
function packed(parts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const longer = `${lines.at(-1) ?? ''} · ${part}`;
    if (lines.length === 0) lines.push(part);
    else if (stringWidth(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(INDENT + part);
  }
  return lines;
}

/** Columns that a narrow terminal does not show, in the order of removal. An address gets a line of its own. */
const OPTIONAL = ['METADATA', 'OUT', 'IN', 'OPEN', 'RELAY', 'ADDRESS'];

function describeServices(services: MergedAgent['services'], style: Style, width: number): string[] {
  if (services.length === 0) return ['no services'];
  const hasMetadata = services.some(({ metadata }) => metadata !== undefined);
  // Only an address shows its relay.
  const showsRelay = services.some(({ address }) => address === undefined);
  const onRelay = (relay: string): string[] => (showsRelay ? [relay] : []);
  const rows = services.map((service) => [
    printable(service.service ?? service.name ?? ''),
    printable(stateOf(service)),
    addressOf(service),
    ...onRelay(printable(relayName(service.relay))),
    String(service.visitors),
    formatBytes(service.bytesIn),
    formatBytes(service.bytesOut),
    ...(hasMetadata ? [describeMetadata(service.metadata)] : []),
  ]);
  const [header, ...lines] = fitColumns(
    [
      [
        'SERVICE',
        'STATE',
        'ADDRESS',
        ...onRelay('RELAY'),
        'OPEN',
        'IN',
        'OUT',
        ...(hasMetadata ? ['METADATA'] : []),
      ],
      ...rows,
    ],
    { optional: OPTIONAL, width },
  );
  return [
    style.dim(header!),
    ...lines.flatMap((line, index) => [
      paint(style, services[index]!.phase, line),
      ...(header!.includes('ADDRESS') || services[index]!.address === undefined
        ? []
        : [INDENT + addressOf(services[index]!)]),
    ]),
  ];
}

const stateOf = ({ phase, code, replica }: ServiceView): string => {
  if (code !== undefined) return `${phase} (${code})`;
  return replica === undefined || replica === 'active' ? phase : `${phase}, ${replica}`;
};

const addressOf = ({ address }: MergedAgent['services'][number]): string => printable(address ?? '');

/** One line of limited length. `--json` prints all of it. */
function describeMetadata(metadata: ServiceView['metadata'] = {}): string {
  const text = Object.entries(metadata)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
  return printable(text.length > MAX_METADATA_CHARS ? `${text.slice(0, MAX_METADATA_CHARS - 1)}…` : text);
}

function paint(style: Style, phase: ServiceView['phase'], line: string): string {
  if (phase === 'ready' || phase === 'open') return style.green(line);
  return phase === 'failed' ? style.red(line) : style.yellow(line);
}

const USE = { free: 'no', served: 'yes', reconnecting: 'agent is reconnecting' } as const;

/**
 * A relay reserves a name for long only after an agent held it for a few minutes. Until then, the date alone would
 * mislead.
 */
function describeReserved({ reservedUntil, use }: Merged['names'][number], now: number): string {
  if (Date.parse(reservedUntil) - now > DAY_MS) return reservedUntil.slice(0, 10);
  return use === 'free' ? utcText(Date.parse(reservedUntil)) : 'not reserved yet';
}

/** The same for names. */
const OPTIONAL_OF_NAMES = ['PORTS', 'IN USE', 'RESERVED UNTIL'];

function describeNames(names: Merged['names'], style: Style, now: number, width: number): string[] {
  if (names.length === 0) return [];
  const table = [
    ['NAME', 'RELAY', 'PORTS', 'IN USE', 'RESERVED UNTIL'],
    ...names.map((each) => [
      printable(each.name),
      printable(each.relay),
      Object.entries(each.ports)
        .map(([kind, port]) => `${kind} ${port}`)
        .join(', '),
      USE[each.use],
      printable(describeReserved(each, now)),
    ]),
  ];
  const [header, ...lines] = fitColumns(table, { optional: OPTIONAL_OF_NAMES, width });
  return [style.dim(header!), ...lines];
}
