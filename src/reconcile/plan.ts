import { isDeepStrictEqual } from 'node:util';
import { letsInMore } from '../agent/access/addresses.js';
import { kindOf, relayKey, type RelaySpec, type ServiceSpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';

/**
 * Desired × Active → actions: a pure function, and the heart of the whole. A lease *is* its placement (relay,
 * kind, name); a service's other settings are what can change under it in place. So two services that swap
 * their names are two updates, and only what has no lease at its placement yet opens one.
 */

/** A service's place: where its lease is, or should be. */
export interface Placement {
  readonly relay: RelaySpec;
  readonly spec: ServiceSpec;
}

/** A lease that runs. */
export interface ActiveLease extends Placement {
  /** It was replaced, and lives on until its successors are ready. */
  readonly retiring: boolean;
}

/** What to do about one service on one relay. */
export interface Action {
  /** A replacement whose `from` is its `to` changes the mode behind one and the same lease. */
  readonly kind: 'open' | 'update' | 'replace' | 'close' | 'keep';
  readonly service: string;
  /** The relay's key: its origin, or `embedded:PORT`. */
  readonly relay: string;
  /** For update and replace: what differs, as paths below the service (`target`, `name`). */
  readonly changes: readonly string[];
  /** True when it opens something to more people than before (a gate removed or widened, a service opened). */
  readonly exposes: boolean;
  /** Key of the lease that is updated, replaced, closed or kept. */
  readonly from?: string;
  /** Key of the lease that is there afterwards. */
  readonly to?: string;
}

/** Identifies a lease among all those of an agent. */
export function placementKey({ relay, spec }: Placement): string {
  return `${relayKey(relay)} ${kindOf(spec.mode)} ${spec.hostname ?? spec.name}`;
}

/** What a lease takes up at the relay that visitors come to: the same, whichever way that is reached. */
export function publicPlace(relay: RelaySpec, { mode, hostname, name }: ServiceSpec): string {
  const entry = relay.kind === 'chain' ? relay.hops[0]! : relay;
  return `${relayKey(entry)} ${kindOf(mode)} ${hostname ?? name}`;
}

/** Every lease that `desired` asks for, in the order of the file. */
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

  // What can be replaced: leases at a place that nobody wants any more, by the service they served.
  const leaving = new Map<string, ActiveLease[]>();
  for (const [key, lease] of running) {
    if (wanted.has(key) || lease.retiring) continue;
    const others = leaving.get(lease.spec.service) ?? [];
    others.push(lease);
    leaving.set(lease.spec.service, others);
  }

  for (const [key, place] of wanted) {
    services.add(place.spec.service);
    const present = running.get(key);
    if (present) actions.push(inPlace(key, present, place));
    else {
      const old = leaving.get(place.spec.service)?.shift();
      actions.push(old ? replacing(old, key, place) : opening(key, place));
    }
  }
  for (const lease of active) {
    const gone = leaving.get(lease.spec.service)?.includes(lease) ?? false;
    // A retiring lease waits for its successors; without its service there will be none.
    const orphan = lease.retiring && !wanted.has(placementKey(lease)) && !services.has(lease.spec.service);
    if (gone || orphan) actions.push(closing(lease));
  }
  return actions;
}

/** The paths below a service at which two specs differ. */
function differences(before: ServiceSpec, after: ServiceSpec): string[] {
  // Of both: what came over the control socket lacks the keys that are not set.
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof ServiceSpec)[];
  // Which relays a service is on shows in its placements, not in the settings of each.
  return keys.filter(
    (key) => key !== 'relays' && key !== 'onPool' && !isDeepStrictEqual(before[key], after[key]),
  );
}

function inPlace(key: string, present: ActiveLease, place: Placement): Action {
  const changes = differences(present.spec, place.spec);
  // A retiring lease that is wanted again is updated back to life.
  const changed = changes.includes('mode') ? 'replace' : 'update';
  const kind = changes.length > 0 || present.retiring ? changed : 'keep';
  const exposes = changes.includes('access') && letsInMore(present.spec.access, place.spec.access);
  return { kind, ...subject(place), changes, exposes, from: key, to: key };
}

function opening(key: string, place: Placement): Action {
  return { kind: 'open', ...subject(place), changes: [], exposes: true, to: key };
}

function replacing(old: ActiveLease, key: string, place: Placement): Action {
  const changes = differences(old.spec, place.spec);
  if (relayKey(old.relay) !== relayKey(place.relay)) changes.push('relays');
  return { kind: 'replace', ...subject(place), changes, exposes: true, from: placementKey(old), to: key };
}

function closing(lease: ActiveLease): Action {
  return { kind: 'close', ...subject(lease), changes: [], exposes: false, from: placementKey(lease) };
}

function subject({ relay, spec }: Placement): { service: string; relay: string } {
  return { service: spec.service, relay: relayKey(relay) };
}
