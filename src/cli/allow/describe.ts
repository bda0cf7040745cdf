import { GATE_KINDS } from '../../agent/access/kinds.js';
import { relayKey, targetsOf, type RelaySpec, type ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { describePermission, variableText, type Permission } from '../../config/permissions/permissions.js';
import { formatTarget } from '../../net/target/target.js';
import { relayName } from '../reporters/describe.js';
import { printable, type Style } from '../text/style.js';
import { shortAddress, shortText } from './short.js';
import type { Allowed } from '../../library/allow/store.js';

/** Services shown for each relay. */
const MAX_SERVICES = 20;
/** Variables on one line. */
const MAX_NAMES = 10;

/** The permissions that a configuration requires, and those that the user has allowed before. */
export interface PermissionRequest {
  readonly desired: Desired;
  readonly permissions: readonly Permission[];
  /** The permissions that are not allowed yet. */
  readonly missing: readonly Permission[];
  /** Everything that this user allowed to any file. */
  readonly known: readonly Allowed[];
}

/**
 * Describes what a configuration publishes and where, and what else it asks for. Each line has one item, for narrow
 * terminals. Marks items that the user has not allowed yet, and cuts long values.
 */
export function describeRequest(asked: PermissionRequest, style: Style): string[] {
  const { desired, permissions, missing } = asked;
  const mark = (text: string): string => style.yellow(text);
  const lines: string[] = [];
  const services = published(desired);
  for (const [relay, described] of services) {
    const origins = relay.split(',');
    const isNew = (permission: Permission): boolean => missing.includes(permission);
    const here = permissions.filter(({ kind, what }) => kind === 'relay' && origins.includes(what));
    const name = `publish at ${printable(relayName(relay))}`;
    const states = new Set(here.filter(isNew).map((permission) => stateOf(permission, asked)));
    lines.push(states.size === 0 ? name : `${mark(name)} ${style.dim(`(${[...states].join(', ')})`)}`);
    for (const permission of here.filter(({ of }) => of !== '')) {
      const whose = origins.length > 1 ? `for ${permission.what} ` : '';
      const line = printable(`  ${whose}trusting the CA ${shortText(permission.of)}`);
      lines.push(isNew(permission) ? mark(line) : line);
    }
    lines.push(...described.slice(0, MAX_SERVICES).map((line) => `  ${line}`));
    if (described.length > MAX_SERVICES) lines.push(`  and ${described.length - MAX_SERVICES} more`);
  }
  const shown = new Set([...services.keys()].flatMap((relay) => relay.split(',')));
  const others = missing.filter(({ kind, what }) => kind !== 'relay' || !shown.has(what));
  // Beside permissions that the file already has, it would not be clear what the change adds.
  const isChange = missing.length < permissions.length;
  const added = isChange ? ` ${style.dim('(new)')}` : '';
  return [...lines, ...shortPermissions(others).map((line) => mark(line) + added)];
}

/** How a relay differs from what the user allowed before. */
function stateOf({ key, what }: Permission, { known }: PermissionRequest): string {
  const before = known.filter((other) => other.kind === 'relay' && other.what === what);
  if (before.length === 0) return 'new';
  return before.some((other) => other.key === key) ? 'new for this file' : 'with a new CA';
}

/** Describes one permission per line. Variables for the same reader share a line. */
export function describePermissions(permissions: readonly Allowed[]): string[] {
  const lines: string[] = [];
  const sent = new Map<string, string[]>();
  for (const permission of permissions) {
    const { kind, what, of } = permission;
    if (kind === 'send') sent.set(of, [...(sent.get(of) ?? []), variableText(what)]);
    else lines.push(describePermission(permission));
  }
  for (const [reader, names] of sent)
    for (let from = 0; from < names.length; from += MAX_NAMES)
      lines.push(`send ${names.slice(from, from + MAX_NAMES).join(', ')} to ${reader}`);
  return lines.map(printable);
}

/** As `describePermissions`, with long values cut: for people. */
export function shortPermissions(permissions: readonly Allowed[]): string[] {
  return describePermissions(permissions.map(shortened));
}

function shortened(permission: Allowed): Allowed {
  const { kind, what, of } = permission;
  // A cut command would hide what it does.
  if (kind === 'run') return permission;
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(what);
  return {
    ...permission,
    what: kind === 'reach' || isUrl ? shortAddress(what) : shortText(what),
    of: kind === 'send' ? shortAddress(of) : shortText(of),
  };
}

/** The services of each relay, without relays in this process. */
function published({ services, relays }: Desired): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const relay of relays.filter(isElsewhere)) found.set(relayKey(relay), []);
  for (const spec of services)
    for (const relay of spec.relays.filter(isElsewhere))
      found.set(relayKey(relay), [...(found.get(relayKey(relay)) ?? []), describeService(spec)]);
  return found;
}

const isElsewhere = (relay: RelaySpec): boolean => relay.kind !== 'embedded';

function describeService(spec: ServiceSpec): string {
  const [first, ...more] = targetsOf(spec).map((target) => shortAddress(formatTarget(target)));
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  return printable(`${shortText(spec.service)}: ${first}${others}${describeAccess(spec)}`);
}

/** Who may visit, if not everyone. */
function describeAccess({ access }: ServiceSpec): string {
  return GATE_KINDS.map((kind) => kind.describe(access))
    .filter((each) => each !== undefined)
    .map((each) => `, ${each}`)
    .join('');
}
