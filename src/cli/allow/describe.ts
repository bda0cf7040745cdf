import { relayKey, targetsOf, type RelaySpec, type ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { describePermission, type Permission } from '../../config/permissions.js';
import { formatTarget } from '../../net/target.js';
import { relayName } from '../reporters/describe.js';
import { printable, type Style } from '../style.js';
import type { Allowed } from './store.js';

/** Of a list; the number of the others follows. */
const MAX_SERVICES = 20;

/**
 * What a configuration would publish and where, and what else it asks for, for narrow terminals: one thing a line. What
 * is not allowed yet is marked.
 */
export function describeAsked(desired: Desired, missing: readonly Permission[], style: Style): string[] {
  const isNew = new Set(missing.map(({ key }) => key));
  const isNewRelay = (origin: string): boolean =>
    [...isNew].some((key) => key === `relay ${origin}` || key.startsWith(`relay ${origin} `));
  const mark = (text: string): string => style.yellow(text);
  const lines: string[] = [];
  for (const [relay, services] of published(desired)) {
    const isUnknown = relay.split(',').some(isNewRelay);
    const name = `publish at ${relayName(relay)}`;
    lines.push(isUnknown ? `${mark(name)} ${style.dim('(new)')}` : name);
    lines.push(...services.slice(0, MAX_SERVICES).map((line) => `  ${line}`));
    if (services.length > MAX_SERVICES) lines.push(`  and ${services.length - MAX_SERVICES} more`);
  }
  const shown = new Set([...published(desired)].flatMap(([relay]) => relay.split(',')));
  const others = missing.filter(({ kind, what }) => kind !== 'relay' || !shown.has(what));
  return [...lines, ...describePermissions(others).map(mark)];
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
