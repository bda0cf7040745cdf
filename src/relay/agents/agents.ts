import { checksumAddress } from '../../identity/keys.js';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromAgent } from '../../protocol/messages.js';
import type { LeaseRegistry } from '../leases/leases.js';
import type { Store } from '../store/store.js';

/** What this module needs from a session. */
export interface AgentSession {
  /** Address of its identity. */
  readonly address: string;
  readonly instance: string;
  readonly version: string;
  readonly remoteAddress: string | undefined;
  /** Milliseconds since the last data from the agent. */
  readonly silentMs: number;
  /** Ends the session with an error for its agent. */
  refuse(error: PortalError): void;
}

export type ReportedService = NonNullable<FromAgent<'report'>['services']>[number];

/** A session, and what its agent reported to its owner. */
export interface LiveAgent {
  readonly session: AgentSession;
  readonly since: Date;
  machine: string | undefined;
  /** Identities that may see the agent, in addition to its owner; checksummed. */
  team: ReadonlySet<string>;
  /** By service key. */
  readonly services: Map<string, ReportedService>;
}

/** A disconnected agent, whose leases may still wait for it. */
export interface DisconnectedAgent {
  readonly machine: string | undefined;
  readonly version: string;
  readonly at: Date;
}

export interface AgentsOptions {
  readonly leases: LeaseRegistry;
  readonly store: Store;
  readonly graceMs: number;
  /** Limits reported services too, per identity over all its sessions; 0: unlimited. */
  readonly maxLeasesPerIdentity: number;
  readonly log: Logger;
}

const keyOf = ({ address, instance }: Pick<AgentSession, 'address' | 'instance'>): string =>
  `${address} ${instance}`;

/** Owns what agents report, which agents were connected, and which may not reconnect. */
export class Agents {
  readonly #options: AgentsOptions;
  readonly #live = new Map<AgentSession, LiveAgent>();
  /** Oldest first. */
  readonly #away = new Map<string, DisconnectedAgent>();
  readonly #disconnected = new Map<string, string>();
  /** Number of reported services, by identity. */
  readonly #reported = new Map<string, number>();

  constructor(options: AgentsOptions) {
    this.#options = options;
  }

  get live(): Iterable<LiveAgent> {
    return this.#live.values();
  }

  /** Throws `disconnected` for an agent that its identity has disconnected. */
  admit(session: Pick<AgentSession, 'address' | 'instance'>): void {
    const why = this.#disconnected.get(keyOf(session));
    if (why !== undefined) throw new PortalError('disconnected', why);
  }

  joined(session: AgentSession): void {
    this.#away.delete(keyOf(session));
    this.#live.set(session, {
      session,
      since: new Date(),
      machine: undefined,
      team: new Set(),
      services: new Map(),
    });
  }

  /** Fields missing from a report keep their values. */
  report(session: AgentSession, { machine, team, services = [] }: FromAgent<'report'>): void {
    const live = this.#live.get(session);
    if (!live) return;
    if (machine !== undefined) live.machine = machine === '' ? undefined : machine;
    if (team) live.team = new Set(team.map(checksumAddress));
    for (const one of services) {
      const isKnown = live.services.has(one.service);
      if (one.phase === 'closed') {
        if (live.services.delete(one.service)) this.#count(session, -1);
      } else if (isKnown || this.#hasRoom(session)) {
        live.services.set(one.service, one);
        if (!isKnown) this.#count(session, 1);
      }
    }
  }

  left(session: AgentSession): void {
    const live = this.#live.get(session);
    if (!live) return;
    this.#live.delete(session);
    this.#count(session, -live.services.size);
    const { machine } = live;
    const at = new Date(Date.now() - session.silentMs);
    this.#forgetAway();
    this.#away.set(keyOf(session), { machine, version: session.version, at });
    if (machine !== undefined) this.#note(session, machine, at.getTime());
  }

  /** The last report of a disconnected agent whose leases wait for it. */
  away(identity: string, instance: string): DisconnectedAgent | undefined {
    return this.#away.get(keyOf({ address: identity, instance }));
  }

  /** Stores when connected agents were last seen. Called periodically: otherwise a long-lived agent looks old after a crash. */
  refresh(): void {
    const now = Date.now();
    for (const { session, machine } of this.#live.values())
      if (machine !== undefined) this.#note(session, machine, now);
  }

  /** The agents that may not reconnect, with the reason of each. */
  get disconnected(): readonly (readonly [agent: string, why: string])[] {
    return [...this.#disconnected];
  }

  /** Adds what another node knows. */
  remember(disconnected: Agents['disconnected']): void {
    for (const [agent, why] of disconnected) this.#remember(agent, why);
  }

  /** Disconnects agent processes of `identity`: ends their sessions, their leases without grace, and their visitors. */
  disconnect(identity: string, instances: readonly string[], why: string): void {
    for (const instance of instances) this.#remember(keyOf({ address: identity, instance }), why);
    for (const session of this.#live.keys())
      if (session.address === identity && instances.includes(session.instance))
        session.refuse(new PortalError('disconnected', why));
    for (const instance of instances) this.#options.leases.endOf(identity, instance);
  }

  #hasRoom({ address }: AgentSession): boolean {
    const { maxLeasesPerIdentity: max } = this.#options;
    return max === 0 || (this.#reported.get(address) ?? 0) < max;
  }

  #count({ address }: AgentSession, change: number): void {
    const count = (this.#reported.get(address) ?? 0) + change;
    if (count > 0) this.#reported.set(address, count);
    else this.#reported.delete(address);
  }

  #remember(key: string, why: string): void {
    const [oldest] = this.#disconnected.keys();
    if (oldest !== undefined && this.#disconnected.size >= LIMITS.maxDisconnectedAgents)
      this.#disconnected.delete(oldest);
    this.#disconnected.set(key, why);
  }

  #note({ address, version }: AgentSession, machine: string, seenAt: number): void {
    this.#options.store.seen.note(address, { machine, version, seenAt }).catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'cannot store when an agent was last seen');
    });
  }

  #forgetAway(): void {
    const before = Date.now() - this.#options.graceMs;
    for (const [key, { at }] of this.#away) {
      if (at.getTime() > before) return;
      this.#away.delete(key);
    }
  }
}
