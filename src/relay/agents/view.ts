import { plainAddress } from '../../net/client-address.js';
import type { AgentsResponse, AgentView, NameView, ServiceView } from '../../protocol/agents.js';
import { LEASE_KINDS } from '../../protocol/kind.js';
import { LIMITS } from '../../protocol/limits.js';
import { placeOf, publicPlaceOf, replicaUses, type LeaseRecord } from '../directory/record.js';
import type { LeaseRegistry } from '../leases/leases.js';
import { publicAddressOf, type PublicPlace } from '../addresses.js';
import type { NamedUntil, Reservations } from '../names/reservations.js';
import type { SeenAgent, Store } from '../store/store.js';
import { agentId } from '../sessions/agent-id.js';
import type { ReportedService } from './agents.js';
import type { Observation, Observed, ObservedLease } from './observe.js';

export interface ViewParts {
  /** What all nodes know; `isWhole` unless a node did not respond. */
  readonly observed: (identity: string) => Promise<Observation & { readonly isWhole: boolean }>;
  /** What is known of the leases of all nodes, including those that do not respond. */
  readonly leases: Pick<LeaseRegistry, 'recordsAt'>;
  readonly reservations: Reservations;
  readonly store: Store;
  readonly reservationMs: number;
}

export interface ViewPlace extends PublicPlace {
  readonly url: string;
}

const ZERO = { visitors: 0, bytesIn: 0, bytesOut: 0 };

/** What `identity` sees: its own agents and names, and agents that list it in their team. */
export async function viewOf(identity: string, parts: ViewParts, place: ViewPlace): Promise<AgentsResponse> {
  const { store, reservations, reservationMs } = parts;
  const [observed, seen, names] = await Promise.all([
    parts.observed(identity),
    store.seen.of(identity, Date.now() - reservationMs),
    reservations.of(identity),
  ]);
  const processes = inOrder(identity, observed.processes);
  const room = new Room(identity, processes);
  const useOf = usesOf(processes.flatMap(({ leases }) => leases));
  let isWhole = observed.isWhole && processes.length <= LIMITS.maxAgentsShown;
  let metadataChars = 0;
  const present = processes.slice(0, LIMITS.maxAgentsShown).map((one) => {
    const services = servicesOf(one, place, useOf);
    const shown = services.slice(0, room.take(one.identity, services.length)).map((service) => {
      metadataChars += charsOf(service.metadata);
      if (service.metadata === undefined || metadataChars <= LIMITS.maxMetadataShownChars) return service;
      isWhole = false;
      const { metadata: _tooMuch, ...rest } = service;
      return rest;
    });
    if (shown.length < services.length) isWhole = false;
    return agentView(one, identity, shown);
  });
  const machines = new Set(present.flatMap(({ own, machine }) => (own && machine ? [machine] : [])));
  return {
    relay: place.url,
    identity,
    now: new Date().toISOString(),
    // An agent that nobody shows may run at the node that did not respond.
    agents: [...present, ...(observed.isWhole ? goneOf(identity, machines, seen) : [])],
    names: namesOf(identity, names, observed, (name) => hasLease(name, parts.leases, place)),
    ...(!isWhole && { truncated: true as const }),
  };
}

/** The identity's own agents first. */
function inOrder(identity: string, processes: readonly Observed[]): Observed[] {
  return [
    ...processes.filter((one) => one.identity === identity),
    ...inTurns(processes.filter((one) => one.identity !== identity)),
  ];
}

/**
 * The first agent of each identity, then the second of each, and so on. Anyone may list anyone in a team, so an identity with
 * many agents must not hide the others.
 */
function inTurns(processes: readonly Observed[]): Observed[] {
  const counts = new Map<string, number>();
  const turns = processes.map((process) => {
    const turn = counts.get(process.identity) ?? 0;
    counts.set(process.identity, turn + 1);
    return { process, turn };
  });
  return turns.toSorted((a, b) => a.turn - b.turn).map(({ process }) => process);
}

/** Shares the services of one response: the asking identity comes first, the others share the rest. */
class Room {
  readonly #asks: string;
  readonly #others: number;
  #left: number = LIMITS.maxAgentServicesShown;
  readonly #shares = new Map<string, number>();

  constructor(asks: string, processes: readonly Observed[]) {
    this.#asks = asks;
    const identities = new Set(processes.map(({ identity }) => identity));
    this.#others = [...identities].filter((identity) => identity !== asks).length;
  }

  /** How many of `wanted` services to show. Call it for the asking identity first. */
  take(identity: string, wanted: number): number {
    const left =
      identity === this.#asks
        ? this.#left
        : (this.#shares.get(identity) ?? Math.ceil(this.#left / this.#others));
    const taken = Math.min(left, wanted);
    if (identity === this.#asks) this.#left -= taken;
    else this.#shares.set(identity, left - taken);
    return taken;
  }
}

function agentView(
  { identity, instance, sessions, away }: Observed,
  asks: string,
  services: readonly ServiceView[],
): AgentView {
  const own = identity === asks;
  const common = { id: agentId(instance), identity, own, services };
  // The newest session, with what only another session reported.
  const last = sessions.at(-1);
  if (!last) {
    const { machine, version, at = Date.now() } = away ?? {};
    return {
      ...common,
      state: 'reconnecting',
      ...(machine !== undefined && { machine }),
      ...(version !== undefined && { version }),
      lastSeen: new Date(at).toISOString(),
    };
  }
  const machine = sessions.map((session) => session.machine).findLast((told) => told !== undefined);
  const { version, remoteAddress, silentMs, since } = last;
  return {
    ...common,
    state: 'connected',
    ...(machine !== undefined && { machine }),
    version,
    since: new Date(since).toISOString(),
    lastSeen: new Date(Date.now() - silentMs).toISOString(),
    ...(own && { from: plainAddress(remoteAddress) }),
  };
}

type ReplicaUse = (lease: ObservedLease) => ServiceView['replica'];

function servicesOf({ sessions, leases }: Observed, place: ViewPlace, useOf: ReplicaUse): ServiceView[] {
  const byLease = new Map<string, ReportedService>();
  const without: ReportedService[] = [];
  const ids = new Set(leases.map(({ record }) => record.id));
  for (const { services } of sessions)
    for (const told of services) {
      if (told.lease !== undefined && ids.has(told.lease)) byLease.set(told.lease, told);
      else without.push(told);
    }
  return [
    ...leases.map((lease) => leaseView(lease, byLease.get(lease.record.id), place, useOf(lease))),
    ...without.map(({ service, phase, code }) => ({ service, phase, ...codeOf(code), ...ZERO })),
  ];
}

function leaseView(
  lease: ObservedLease,
  told: ReportedService | undefined,
  place: ViewPlace,
  replica: ServiceView['replica'],
): ServiceView {
  const { record } = lease;
  const [address] = Object.values(publicAddressOf(record, place));
  return {
    ...(told && { service: told.service }),
    name: record.isOwnDomain ? record.hostname : record.name,
    kind: record.kind,
    ...(address !== undefined && { address }),
    ...(Object.keys(lease.metadata).length > 0 && { metadata: lease.metadata }),
    phase: lease.isServed ? (told?.phase ?? 'open') : 'reconnecting',
    ...(lease.isServed && codeOf(told?.code)),
    ...(replica && { replica }),
    ...lease.traffic,
  };
}

function usesOf(leases: readonly ObservedLease[]): ReplicaUse {
  const byPlace = new Map<string, LeaseRecord[]>();
  for (const { record, isServed } of leases) {
    if (!record.replica || !isServed) continue;
    const at = publicPlaceOf(record.place);
    byPlace.set(at, [...(byPlace.get(at) ?? []), record]);
  }
  const uses = new Map([...byPlace.values()].flatMap((records) => [...replicaUses(records)]));
  return ({ record }) => uses.get(record);
}

const charsOf = (metadata: ServiceView['metadata'] = {}): number =>
  Object.entries(metadata).reduce((sum, [key, value]) => sum + key.length + value.length, 0);

const codeOf = (code: string | undefined): { code?: string } => (code === undefined ? {} : { code });

/** Agents of the identity itself that disconnected lately. */
function goneOf(identity: string, present: ReadonlySet<string>, seen: readonly SeenAgent[]): AgentView[] {
  return seen
    .filter(({ machine }) => !present.has(machine))
    .map(({ machine, version, seenAt }) => ({
      identity,
      own: true,
      machine,
      version,
      state: 'disconnected',
      lastSeen: new Date(seenAt).toISOString(),
      services: [],
    }));
}

/** Whether a node has a lease with this name. */
function hasLease(name: string, leases: ViewParts['leases'], { domain }: ViewPlace): boolean {
  const hostname = `${name}.${domain}`;
  return LEASE_KINDS.some((kind) => leases.recordsAt(placeOf({ kind, hostname })).length > 0);
}

function namesOf(
  identity: string,
  names: readonly NamedUntil[],
  { processes, expected }: Observation,
  isLeased: (name: string) => boolean,
): NameView[] {
  const users = new Map<string, ObservedLease>();
  for (const lease of processes.flatMap(({ leases }) => leases)) {
    const { owner, name, isOwnDomain } = lease.record;
    if (owner !== identity || isOwnDomain) continue;
    // A served lease wins over a waiting one of another kind.
    if (!users.get(name)?.isServed) users.set(name, lease);
  }
  return names.map(({ name, until, tcp, udp }) => {
    const lease = users.get(name);
    const instance = lease?.record.instance;
    return {
      name,
      ports: { ...(tcp !== null && { tcp }), ...(udp !== null && { udp }) },
      reservedUntil: new Date(until).toISOString(),
      use: lease?.isServed
        ? 'served'
        : lease || expected.includes(name) || isLeased(name)
          ? 'reconnecting'
          : 'free',
      ...(instance !== undefined && { agent: agentId(instance) }),
    };
  });
}
