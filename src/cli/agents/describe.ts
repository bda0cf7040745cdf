import type { ServiceView } from '../../protocol/agents.js';
import { formatAge, formatAgo, formatBytes } from '../amounts.js';
import { columns } from '../columns.js';
import { printable, type Style } from '../style.js';
import type { Merged, MergedAgent } from './merge.js';

/** Longest metadata of a service in the table. */
const MAX_METADATA_CHARS = 80;
const DAY_MS = 86_400_000;

/** Formats agents and names. Text from relays and other agents is made safe for the terminal. */
export function describeAgents({ agents, names }: Merged, style: Style, now: number): string[] {
  return [
    ...(agents.length === 0 ? ['no agents'] : agents.flatMap((agent) => describeAgent(agent, style, now))),
    ...describeNames(names, style, now),
  ];
}

function describeAgent(agent: MergedAgent, style: Style, now: number): string[] {
  const { id, identity, own, machine, version, state, since, lastSeen, from, services, relays } = agent;
  const ago = (time: string): string => formatAgo(now - Date.parse(time));
  const name = printable(machine ?? 'unnamed machine');
  if (state === 'disconnected')
    return [
      style.dim(`${name} · disconnected, last seen ${ago(lastSeen)} at ${relays.map(printable).join(', ')}`),
      '',
    ];
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
    style.bold(head.join(' · ')),
    ...(own ? [] : [`  shared by ${printable(identity)}`]),
    ...describeServices(services, style).map((line) => `  ${line}`),
    '',
  ];
}

function describeServices(services: MergedAgent['services'], style: Style): string[] {
  if (services.length === 0) return ['no services'];
  const hasMetadata = services.some(({ metadata }) => metadata !== undefined);
  const rows = services.map((service) => [
    printable(service.service ?? service.name ?? ''),
    printable(service.code === undefined ? service.phase : `${service.phase} (${service.code})`),
    printable(service.address ?? service.relay),
    String(service.visitors),
    formatBytes(service.bytesIn),
    formatBytes(service.bytesOut),
    ...(hasMetadata ? [describeMetadata(service.metadata)] : []),
  ]);
  const [header, ...lines] = columns([
    ['SERVICE', 'STATE', 'ADDRESS', 'VISITORS', 'IN', 'OUT', ...(hasMetadata ? ['METADATA'] : [])],
    ...rows,
  ]);
  return [style.dim(header!), ...lines.map((line, index) => paint(style, services[index]!.phase, line))];
}

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
 * A relay reserves a name for long only after an agent held it for some minutes. Until then, the date alone would
 * mislead.
 */
function describeReserved({ reservedUntil, use }: Merged['names'][number], now: number): string {
  if (Date.parse(reservedUntil) - now > DAY_MS) return reservedUntil.slice(0, 10);
  return use === 'free' ? `${reservedUntil.slice(0, 16).replace('T', ' ')} UTC` : 'not yet';
}

function describeNames(names: Merged['names'], style: Style, now: number): string[] {
  if (names.length === 0) return [];
  const [header, ...lines] = columns([
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
  ]);
  return [style.dim(header!), ...lines];
}
