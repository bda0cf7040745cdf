import type { AgentsResponse, AgentView, NameView, ServiceView } from '../../protocol/agents.js';
import { LIMITS } from '../../protocol/limits.js';
import { publicAddressOf, type PublicPlace } from '../addresses.js';
import type { LocalLease } from '../lease.js';
import type { LeaseRegistry } from '../leases.js';
import { plainAddress } from '../names.js';
import type { NamedUntil, Reservations } from '../reservations.js';
import type { SeenAgent, Store } from '../store/store.js';
import { agentId, type Agents, type LiveAgent, type ReportedService } from './agents.js';

export interface ViewParts {
  readonly agents: Agents;
  readonly leases: LeaseRegistry;
  readonly reservations: Reservations;
  readonly store: Store;
  readonly reservationMs: number;
}

export interface ViewPlace extends PublicPlace {
  readonly url: string;
}

/** All sessions of one agent process, for example a direct one and one through a chain. */
interface Process {
  readonly identity: string;
  readonly instance: string;
  readonly sessions: LiveAgent[];
  readonly leases: LocalLease[];
}

const ZERO = { visitors: 0, bytesIn: 0, bytesOut: 0 };

/**
 * What `identity` may see: its own agents and names, and agents that list it in their team. Only this function decides it.
 */
export async function viewOf(identity: string, parts: ViewParts, place: ViewPlace): Promise<AgentsResponse> {
  const { store, reservations, reservationMs } = parts;
  const [seen, names] = await Promise.all([
    store.seen.of(identity, Date.now() - reservationMs),
    reservations.of(identity),
  ]);
  const processes = visibleTo(identity, parts);
  const room = new Room(identity, processes);
  let isWhole = processes.length <= LIMITS.maxAgentsShown;
  let metadataChars = 0;
  const present = processes.slice(0, LIMITS.maxAgentsShown).map((one) => {
    const services = servicesOf(one, place);
    const shown = services.slice(0, room.take(one.identity, services.length)).map((service) => {
      metadataChars += charsOf(service.metadata);
      if (service.metadata === undefined || metadataChars <= LIMITS.maxMetadataShownChars) return service;
      isWhole = false;
      const { metadata: _tooMuch, ...rest } = service;
      return rest;
    });
    if (shown.length < services.length) isWhole = false;
    return agentView(one, identity, shown, parts.agents);
  });
  const machines = new Set(present.flatMap(({ own, machine }) => (own && machine ? [machine] : [])));
  return {
    relay: place.url,
    identity,
    now: new Date().toISOString(),
    agents: [...present, ...goneOf(identity, machines, seen)],
    names: namesOf(identity, names, parts.leases),
    ...(!isWhole && { truncated: true as const }),
  };
}

/** The identity's own agents first. Of other identities only connected agents, since their team may have changed. */
function visibleTo(identity: string, { agents, leases }: ViewParts): Process[] {
  const processes = new Map<string, Process>();
  const processOf = (owner: string, instance: string): Process => {
    const key = `${owner} ${instance}`;
    const known = processes.get(key);
    if (known) return known;
    const made = { identity: owner, instance, sessions: [], leases: [] };
    processes.set(key, made);
    return made;
  };
  for (const agent of agents.live) {
    const { address, instance } = agent.session;
    if (address === identity || agent.team.has(identity)) processOf(address, instance).sessions.push(agent);
  }
  for (const lease of leases.all()) {
    const { owner, instance } = lease.record;
    if (instance === undefined) continue;
    if (owner === identity) processOf(owner, instance).leases.push(lease);
    else if (lease.holder) processes.get(`${owner} ${instance}`)?.leases.push(lease);
  }
  const all = [...processes.values()];
  return [
    ...all.filter((one) => one.identity === identity),
    ...inTurns(all.filter((one) => one.identity !== identity)),
  ];
}

/**
 * The first agent of each identity, then the second of each, and so on. Anyone may list anyone in a team, so an identity with
 * many agents must not hide the others.
 */
function inTurns(processes: readonly Process[]): Process[] {
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

  constructor(asks: string, processes: readonly Process[]) {
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
  { identity, instance, sessions }: Process,
  asks: string,
  services: readonly ServiceView[],
  agents: Agents,
): AgentView {
  const own = identity === asks;
  const common = { id: agentId(instance), identity, own, services };
  // The newest session, with what only another session reported.
  const last = sessions.at(-1);
  if (!last) {
    const { machine, version, at = new Date() } = agents.away(identity, instance) ?? {};
    return {
      ...common,
      state: 'reconnecting',
      ...(machine !== undefined && { machine }),
      ...(version !== undefined && { version }),
      lastSeen: at.toISOString(),
    };
  }
  const machine = sessions.map((session) => session.machine).findLast((told) => told !== undefined);
  const { version, remoteAddress, silentMs } = last.session;
  return {
    ...common,
    state: 'connected',
    ...(machine !== undefined && { machine }),
    version,
    since: last.since.toISOString(),
    lastSeen: new Date(Date.now() - silentMs).toISOString(),
    ...(own && { from: plainAddress(remoteAddress) }),
  };
}

function servicesOf({ sessions, leases }: Process, place: ViewPlace): ServiceView[] {
  const byLease = new Map<string, ReportedService>();
  const without: ReportedService[] = [];
  const ids = new Set(leases.map(({ record }) => record.id));
  for (const { services } of sessions)
    for (const told of services.values()) {
      if (told.lease !== undefined && ids.has(told.lease)) byLease.set(told.lease, told);
      else without.push(told);
    }
  return [
    ...leases.map((lease) => leaseView(lease, byLease.get(lease.record.id), place)),
    ...without.map(({ service, phase, code }) => ({ service, phase, ...codeOf(code), ...ZERO })),
  ];
}

function leaseView(lease: LocalLease, told: ReportedService | undefined, place: ViewPlace): ServiceView {
  const { record } = lease;
  return {
    ...(told && { service: told.service }),
    name: record.isOwnDomain ? record.hostname : record.name,
    kind: record.kind,
    address: Object.values(publicAddressOf(record, place))[0]!,
    ...(Object.keys(lease.metadata).length > 0 && { metadata: lease.metadata }),
    phase: lease.holder ? (told?.phase ?? 'open') : 'reconnecting',
    ...(lease.holder && codeOf(told?.code)),
    ...lease.traffic.read(),
  };
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

function namesOf(identity: string, names: readonly NamedUntil[], leases: LeaseRegistry): NameView[] {
  const users = new Map<string, LocalLease>();
  for (const lease of leases.all()) {
    const { owner, name, isOwnDomain } = lease.record;
    if (owner !== identity || isOwnDomain) continue;
    // A served lease wins over a waiting one of another kind.
    if (!users.get(name)?.holder) users.set(name, lease);
  }
  return names.map(({ name, until, tcp, udp }) => {
    const lease = users.get(name);
    const instance = lease?.record.instance;
    return {
      name,
      ports: { ...(tcp !== null && { tcp }), ...(udp !== null && { udp }) },
      reservedUntil: new Date(until).toISOString(),
      use: lease ? (lease.holder ? 'served' : 'reconnecting') : 'free',
      ...(instance !== undefined && { agent: agentId(instance) }),
    };
  });
}
