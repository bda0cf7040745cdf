import type { LeaseRecord } from '../directory/record.js';
import type { LeaseRegistry } from '../leases/leases.js';
import { agentId } from '../sessions/agent-id.js';
import type { Agents, ReportedService } from './agents.js';

/** What one node of a relay knows of the agents that an identity may see: plain data, for any node that shows it. */

export interface Observation {
  readonly processes: readonly Observed[];
  /** Names of the identity whose agents have not returned since the relay started. Visitors wait for them. */
  readonly expected: readonly string[];
}

/** All sessions of one agent process, for example a direct one and one through a chain, and its leases. */
export interface Observed {
  readonly identity: string;
  readonly instance: string;
  readonly sessions: readonly ObservedSession[];
  readonly leases: readonly ObservedLease[];
  /** The last report of a disconnected agent. */
  readonly away: ObservedAway | undefined;
}

interface ObservedSession {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly machine: string | undefined;
  readonly version: string;
  readonly remoteAddress: string | undefined;
  readonly silentMs: number;
  readonly services: readonly ReportedService[];
}

export interface ObservedLease {
  readonly record: LeaseRecord;
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether its agent is connected. */
  readonly isServed: boolean;
  readonly traffic: ObservedTraffic;
}

export interface ObservedTraffic {
  readonly visitors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

interface ObservedAway {
  readonly machine: string | undefined;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface ObservedParts {
  readonly agents: Agents;
  readonly leases: LeaseRegistry;
}

/**
 * The agents of `identity`, and those that list it in their team. Of other identities only connected agents, since their team
 * may have changed. Only this function decides what an identity may see.
 */
export function observe(identity: string, { agents, leases }: ObservedParts): Observation {
  const seen = new Merged();
  const expected: string[] = [];
  for (const agent of agents.live) {
    const { address, instance, version, remoteAddress, silentMs } = agent.session;
    if (address !== identity && !agent.team.has(identity)) continue;
    const { since, machine, services } = agent;
    const session = { since: since.getTime(), machine, version, remoteAddress, silentMs };
    seen.of(address, instance).sessions.push({ ...session, services: [...services.values()] });
  }
  for (const { record, metadata, holder, traffic } of leases.all()) {
    const { owner, instance } = record;
    const isOwn = owner === identity;
    if (instance === undefined) {
      if (isOwn && !record.isOwnDomain) expected.push(record.name);
      continue;
    }
    const process = isOwn ? seen.of(owner, instance) : holder && seen.known(owner, instance);
    process?.leases.push({ record, metadata, isServed: holder !== undefined, traffic: traffic.read() });
  }
  for (const process of seen.all) {
    if (process.sessions.length > 0) continue;
    const away = agents.away(process.identity, process.instance);
    if (away) process.away = { ...away, at: away.at.getTime() };
  }
  return { processes: seen.all, expected };
}

/** What several nodes know, together. */
export function merge(all: readonly Observation[]): Observation {
  const merged = new Merged();
  for (const { identity, instance, sessions, leases, away } of all.flatMap(({ processes }) => processes)) {
    const process = merged.of(identity, instance);
    process.sessions.push(...sessions);
    process.leases.push(...leases);
    if (away && away.at > (process.away?.at ?? 0)) process.away = away;
  }
  // The newest session is the last.
  for (const { sessions } of merged.all) sessions.sort((a, b) => a.since - b.since);
  return { processes: merged.all, expected: all.flatMap(({ expected }) => expected) };
}

/** The ids of the agent processes of `identity` here that have the id `id` for people. */
export function instancesOf(identity: string, id: string, { agents, leases }: ObservedParts): string[] {
  const sessions = [...agents.live].map(({ session: { address, instance } }) => ({
    owner: address,
    instance,
  }));
  const all = [...sessions, ...[...leases.all()].map(({ record }) => record)];
  const found = all.flatMap(({ owner, instance }) =>
    owner === identity && instance !== undefined && agentId(instance) === id ? [instance] : [],
  );
  return [...new Set(found)];
}

/** Processes, each once, in the order of their arrival. */
class Merged {
  readonly #processes = new Map<string, MergedProcess>();

  get all(): MergedProcess[] {
    return [...this.#processes.values()];
  }

  known(identity: string, instance: string): MergedProcess | undefined {
    return this.#processes.get(`${identity} ${instance}`);
  }

  of(identity: string, instance: string): MergedProcess {
    const known = this.known(identity, instance);
    if (known) return known;
    const process = { identity, instance, sessions: [], leases: [], away: undefined };
    this.#processes.set(`${identity} ${instance}`, process);
    return process;
  }
}

interface MergedProcess extends Observed {
  readonly sessions: ObservedSession[];
  readonly leases: ObservedLease[];
  away: ObservedAway | undefined;
}
