import { relayKey, targetsOf, type RelaySpec, type ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { describePermission, type Permission } from '../../config/permissions.js';
import { formatTarget } from '../../net/target.js';
import { relayName } from '../reporters/describe.js';
import { printable, type Style } from '../style.js';
import type { Allowed } from './store.js';

/** Of a list; the number of the others follows. */
const MAX_SERVICES = 20;

/** What is asked, and what it is compared with. */
export interface Asked {
  readonly desired: Desired;
  readonly permissions: readonly Permission[];
  /** What is not allowed yet. */
  readonly missing: readonly Permission[];
  /** What this user allowed to any file. */
  readonly known: readonly Allowed[];
}

/**
 * What a configuration would publish and where, and what else it asks for, for narrow terminals: one thing a line. What
 * is not allowed yet is marked.
 */
export function describeAsked(asked: Asked, style: Style): string[] {
  const { desired, permissions, missing } = asked;
  const mark = (text: string): string => style.yellow(text);
  const lines: string[] = [];
  const services = published(desired);
  for (const [relay, described] of services) {
    const origins = relay.split(',');
    const isNew = (permission: Permission): boolean => missing.includes(permission);
    const here = permissions.filter(({ kind, what }) => kind === 'relay' && origins.includes(what));
    const name = `publish at ${printable(relayName(relay))}`;
    const news = new Set(here.filter(isNew).map((permission) => newsOf(permission, asked)));
    lines.push(news.size === 0 ? name : `${mark(name)} ${style.dim(`(${[...news].join(', ')})`)}`);
    for (const permission of here.filter(({ of }) => of !== '')) {
      const whose = origins.length > 1 ? `for ${permission.what} ` : '';
      const line = printable(`  ${whose}trusting the CA ${permission.of}`);
      lines.push(isNew(permission) ? mark(line) : line);
    }
    lines.push(...described.slice(0, MAX_SERVICES).map((line) => `  ${line}`));
    if (described.length > MAX_SERVICES) lines.push(`  and ${described.length - MAX_SERVICES} more`);
  }
  const shown = new Set([...services.keys()].flatMap((relay) => relay.split(',')));
  const others = missing.filter(({ kind, what }) => kind !== 'relay' || !shown.has(what));
  return [...lines, ...describePermissions(others).map(mark)];
}

/** What is new about a relay. */
function newsOf({ key, what }: Permission, { known }: Asked): string {
  const before = known.filter((other) => other.kind === 'relay' && other.what === what);
  if (before.length === 0) return 'new';
  return before.some((other) => other.key === key) ? 'new for this file' : 'with another CA than before';
}

/** Permissions, one a line; variables with one reader share a line. */
export function describePermissions(permissions: readonly Allowed[]): string[] {
  const lines: string[] = [];
  const sent = new Map<string, string[]>();
  for (const permission of permissions) {
    const { kind, what, of } = permission;
    if (kind === 'send') sent.set(of, [...(sent.get(of) ?? []), `$${what}`]);
    else lines.push(describePermission(permission));
  }
  for (const [reader, names] of sent) lines.push(`send ${names.join(', ')} to ${reader}`);
  return lines.map(printable);
}

/** Services by relay, without relays in this process. */
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
  const [first, ...more] = targetsOf(spec).map(formatTarget);
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  return printable(`${spec.service}: ${first}${others}`);
}
