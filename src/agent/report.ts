import { isDeepStrictEqual } from 'node:util';
import { asPortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { LIMITS } from '../protocol/limits.js';
import type { FromAgent } from '../protocol/messages.js';
import type { ControlChannel } from './control.js';
import type { AgentLease } from './lease.js';

/** What the owner of the identity is to see of this agent, beyond what a relay knows by itself. */
export interface AboutAgent {
  /** What the machine is called; undefined: nobody is told. */
  readonly machine: string | undefined;
  /** Identities that may see this agent, besides its own. */
  readonly team: readonly string[];
}

type Told = NonNullable<FromAgent<'report'>['services']>[number];
type Lease = Pick<AgentLease, 'spec' | 'phase' | 'id' | 'error' | 'isLeaving'>;

/** A relay that shows identities their agents says so. */
const AGENTS_CAPABILITY = 'agents';

/**
 * Whether this agent tells the relay about itself. Over a chain it does not: a machine's name and the keys of its services say
 * more of who it is than the entry is to know.
 */
export function mayReport({ welcome, detour }: Pick<ControlChannel, 'welcome' | 'detour'>): boolean {
  return welcome.capabilities.includes(AGENTS_CAPABILITY) && !detour?.hides;
}

/** Tells one channel's relay what changed, once a second at most, and nothing twice. */
export class Reporter {
  readonly #channel: Pick<ControlChannel, 'request' | 'closed'>;
  readonly #about: () => AboutAgent;
  readonly #leases: () => Iterable<Lease>;
  readonly #log: Logger;
  #toldAbout: AboutAgent | undefined;
  readonly #told = new Map<string, Told>();
  #timer: NodeJS.Timeout | undefined;
  #isTelling = false;
  /** Something changed since the last report was made. */
  #isDue = false;
  #over = false;

  constructor(
    channel: Pick<ControlChannel, 'request' | 'closed'>,
    about: () => AboutAgent,
    leases: () => Iterable<Lease>,
    log: Logger,
  ) {
    this.#channel = channel;
    this.#about = about;
    this.#leases = leases;
    this.#log = log;
    this.changed();
  }

  /** Something of what it tells may be another now. */
  changed(): void {
    this.#isDue = true;
    if (!this.#timer && !this.#isTelling && !this.#over) this.#tellIn(0);
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  #tellIn(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#tell();
    }, ms).unref();
  }

  async #tell(): Promise<void> {
    if (this.#over || this.#channel.closed) return;
    this.#isTelling = true;
    this.#isDue = false;
    try {
      const report = this.#next();
      if (report) await this.#channel.request(report);
    } catch (error) {
      // The channel is ending, or the relay has its reasons: services do not depend on it. The next one tells all of it.
      this.#toldAbout = undefined;
      this.#told.clear();
      this.#log.debug({ code: asPortalError(error).code }, 'a report was not taken');
    }
    this.#isTelling = false;
    if (this.#isDue && !this.#over) this.#tellIn(LIMITS.minReportMs);
  }

  /** What differs from what was told; undefined: nothing. */
  #next(): Omit<FromAgent<'report'>, 'id'> | undefined {
    const about = this.#about();
    const isNews = !isDeepStrictEqual(about, this.#toldAbout);
    const services = this.#changes();
    if (!isNews && services.length === 0) return undefined;
    this.#toldAbout = about;
    const { team } = about;
    const machine = about.machine?.replace(/\p{Cc}/gu, ' ') ?? '';
    return {
      type: 'report',
      ...(isNews && {
        machine: machine.slice(0, LIMITS.maxMachineChars),
        team: team.slice(0, LIMITS.maxTeam),
      }),
      ...(services.length > 0 && { services }),
    };
  }

  #changes(): Told[] {
    const now = new Map<string, Told>();
    for (const lease of this.#leases()) {
      if (lease.phase === 'closed') continue;
      const service = keyOf(lease);
      // Of one that goes and the one that takes its place, the latter counts.
      if (!now.has(service) || !lease.isLeaving) now.set(service, toldOf(lease));
    }
    const changes: Told[] = [];
    for (const service of this.#told.keys())
      if (!now.has(service)) changes.push({ service, phase: 'closed' });
    for (const [service, told] of now)
      if (!isDeepStrictEqual(told, this.#told.get(service))) changes.push(told);
    const first = changes.slice(0, LIMITS.maxReportedServices);
    for (const told of first) {
      if (told.phase === 'closed') this.#told.delete(told.service);
      else this.#told.set(told.service, told);
    }
    // The others have their turn in the next.
    if (changes.length > first.length) this.#isDue = true;
    return first;
  }
}

/** The wire's bound on a text; no relay is to close the channel for it. */
const MAX_KEY_CHARS = 200;

const keyOf = ({ spec }: Pick<Lease, 'spec'>): string => spec.service.slice(0, MAX_KEY_CHARS);

function toldOf({ spec, phase, id, error }: Lease): Told {
  return {
    service: keyOf({ spec }),
    phase,
    ...(id !== undefined && { lease: id }),
    ...(error && { code: error.code }),
  };
}
