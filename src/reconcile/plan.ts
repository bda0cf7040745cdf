import { isDeepStrictEqual } from 'node:util';
import { admitsMore } from '../agent/access/kinds.js';
import { kindOf, relayKey, targetsOf, type RelaySpec, type ServiceSpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import { formatTarget } from '../net/target/target.js';
import { expectedAddress } from './expected-address.js';

/**
 * Desired × Active → actions: a pure function, and the core of Portal. A lease *is* its placement (relay, kind, name). All
 * other settings of a service can change in place. So two services that swap names are two updates, and only a placement
 * without a lease opens one.
 */

/** Where the lease of a service is, or should be. */
export interface Placement {
  readonly relay: RelaySpec;
  readonly spec: ServiceSpec;
}

export interface ActiveLease extends Placement {
  /** It has been replaced, and lives until its replacements are ready. */
  readonly retiring: boolean;
}

/** The action for one service on one relay. */
export interface Action {
  /** A replacement with equal `from` and `to` changes the mode of the same lease. */
  readonly kind: 'open' | 'update' | 'replace' | 'close' | 'keep';
  readonly service: string;
  /** The relay's key: its origin, or `embedded:PORT`. */
  readonly relay: string;
  /** Where visitors reach it, as far as the configuration says. */
  readonly address: string;
  /** Its local services, each once. */
  readonly targets: readonly string[];
  /** For update and replace: the differing paths below the service (`target`, `name`). */
  readonly changes: readonly string[];
  /** Whether it exposes a service to more people than before (a gate removed or widened, a service opened). */
  readonly exposes: boolean;
  /** Held requests that wait until their route is back. Only a running agent knows them. */
  readonly heldWithoutRoute?: number;
  /** Key of the lease to update, replace, close or keep. */
  readonly from?: string;
  /** Key of the lease afterwards. */
  readonly to?: string;
}

/** Identifies a lease among all leases of an agent. */
export function placementKey({ relay, spec }: Placement): string {
  return `${relayKey(relay)} ${kindOf(spec.mode)} ${spec.hostname ?? spec.name}`;
}

/** Whether the action opens an existing service to more people. False for a new service. */
export const opensToMore = ({ kind, exposes, changes }: Action): boolean =>
  exposes && (kind === 'update' || (kind === 'replace' && changes.includes('access')));

/** The public address that a lease occupies at its relay. It is the same for every path to that relay. */
export function publicPlace(relay: RelaySpec, { mode, hostname, name }: ServiceSpec): string {
  const entry = relay.kind === 'chain' ? relay.hops[0]! : relay;
  return `${relayKey(entry)} ${kindOf(mode)} ${hostname ?? name}`;
}

/** Every lease that `desired` requires, in the order of the file. */
export function placements(desired: Desired): Map<string, Placement> {
  const all = new Map<string, Placement>();
  for (const spec of desired.services) {
    for (const relay of spec.relays) all.set(placementKey({ relay, spec }), { relay, spec });
  }
  return all;
}

export function plan(desired: Desired, active: readonly ActiveLease[]): Action[] {
  const wanted = placements(desired);
  const running = new Map(active.map((lease) => [placementKey(lease), lease]));
  const actions: Action[] = [];
  const services = new Set<string>();

  // Leases that can be replaced: those at unwanted placements, by service.
  const replaceable = new Map<string, ActiveLease[]>();
  for (const [key, lease] of running) {
    if (wanted.has(key) || lease.retiring) continue;
    const others = replaceable.get(lease.spec.service) ?? [];
    others.push(lease);
    replaceable.set(lease.spec.service, others);
  }

  for (const [key, place] of wanted) {
    services.add(place.spec.service);
    const present = running.get(key);
    if (present) actions.push(inPlace(key, present, place));
    else {
      const old = replaceable.get(place.spec.service)?.shift();
      actions.push(old ? replacing(old, key, place) : opening(key, place));
    }
  }
  for (const lease of active) {
    const gone = replaceable.get(lease.spec.service)?.includes(lease) ?? false;
    // A retiring lease waits for its replacements. Without its service no replacement follows.
    const orphan = lease.retiring && !wanted.has(placementKey(lease)) && !services.has(lease.spec.service);
    if (gone || orphan) actions.push(closing(lease));
  }
  return actions;
}

/** Settings that decide whether and where a service runs, and not how. */
const SELECTING: ReadonlySet<string> = new Set(['relays', 'onPool', 'profiles']);

/** The paths below a service at which two specs differ. */
function differences(before: ServiceSpec, after: ServiceSpec): string[] {
  // Keys of both: a spec from the control socket lacks unset keys.
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof ServiceSpec)[];
  // The relays of a service show in its placements, not in the settings of each.
  return keys.filter((key) => !SELECTING.has(key) && !isDeepStrictEqual(before[key], after[key]));
}

function inPlace(key: string, present: ActiveLease, place: Placement): Action {
  const changes = differences(present.spec, place.spec);
  // A retiring lease that is wanted again becomes active through an update.
  const changed = changes.includes('mode') ? 'replace' : 'update';
  const kind = changes.length > 0 || present.retiring ? changed : 'keep';
  const exposes = changes.includes('access') && admitsMore(present.spec.access, place.spec.access);
  return { kind, ...subject(place), changes, exposes, from: key, to: key };
}

function opening(key: string, place: Placement): Action {
  return { kind: 'open', ...subject(place), changes: [], exposes: true, to: key };
}

function replacing(old: ActiveLease, key: string, place: Placement): Action {
  const changes = differences(old.spec, place.spec);
  if (relayKey(old.relay) !== relayKey(place.relay)) changes.push('relays');
  const exposes = !changes.includes('access') || admitsMore(old.spec.access, place.spec.access);
  return { kind: 'replace', ...subject(place), changes, exposes, from: placementKey(old), to: key };
}

function closing(lease: ActiveLease): Action {
  return { kind: 'close', ...subject(lease), changes: [], exposes: false, from: placementKey(lease) };
}

function subject({ relay, spec }: Placement): Pick<Action, 'service' | 'relay' | 'address' | 'targets'> {
  return {
    service: spec.service,
    relay: relayKey(relay),
    address: expectedAddress({ relay, spec }),
    targets: targetsOf(spec).map(formatTarget),
  };
}
