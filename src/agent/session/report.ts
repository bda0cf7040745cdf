import { isDeepStrictEqual } from 'node:util';
import { asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { LIMITS } from '../../protocol/limits.js';
import type { FromAgent } from '../../protocol/messages.js';
import type { ControlChannel } from './control.js';
import type { AgentLease } from '../lease/lease.js';

/** The data about this agent that its identity's owner sees in addition to the relay's own. */
export interface AgentInfo {
  /** Name of the machine. Undefined if relays get no name. */
  readonly machine: string | undefined;
  /** Identities that may see this agent, in addition to its own. */
  readonly team: readonly string[];
}

type ServiceReport = NonNullable<FromAgent<'report'>['services']>[number];
type Lease = Pick<AgentLease, 'spec' | 'phase' | 'id' | 'error' | 'isEnding'>;

/** The capability of relays that show identities their agents. */
const AGENTS_CAPABILITY = 'agents';

/**
 * Whether this agent reports to the relay. Not over a chain: the names of the machine and its services would reveal too much
 * to the entry relay.
 */
export function mayReport({ welcome, via }: Pick<ControlChannel, 'welcome' | 'via'>): boolean {
  return welcome.capabilities.includes(AGENTS_CAPABILITY) && !via?.hides;
}

/** Reports changes to one channel's relay, at most once per second, and nothing twice. */
export class Reporter {
  readonly #channel: Pick<ControlChannel, 'request' | 'closed'>;
  readonly #about: () => AgentInfo;
  readonly #leases: () => Iterable<Lease>;
  readonly #log: Logger;
  #reportedAbout: AgentInfo | undefined;
  readonly #reported = new Map<string, ServiceReport>();
  #timer: NodeJS.Timeout | undefined;
  #isSending = false;
  /** Something changed since the last report. */
  #isDue = false;
  #isClosed = false;

  constructor(
    channel: Pick<ControlChannel, 'request' | 'closed'>,
    about: () => AgentInfo,
    leases: () => Iterable<Lease>,
    log: Logger,
  ) {
    this.#channel = channel;
    this.#about = about;
    this.#leases = leases;
    this.#log = log;
    this.changed();
  }

  /** Something in the report may have changed. */
  changed(): void {
    this.#isDue = true;
    if (!this.#timer && !this.#isSending && !this.#isClosed) this.#sendIn(0);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #sendIn(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#send();
    }, ms).unref();
  }

  async #send(): Promise<void> {
    if (this.#isClosed || this.#channel.closed) return;
    this.#isSending = true;
    this.#isDue = false;
    try {
      const report = this.#next();
      if (report) await this.#channel.request(report);
    } catch (error) {
      // The channel is ending, or the relay rejected the report. Services do not depend on reports. The next report
      // contains everything.
      this.#reportedAbout = undefined;
      this.#reported.clear();
      this.#log.debug({ code: asPortalError(error).code }, 'the relay rejected a report');
    }
    this.#isSending = false;
    if (this.#isDue && !this.#isClosed) this.#sendIn(LIMITS.minReportMs);
  }

  /** The difference to the last report. Undefined without one. */
  #next(): Omit<FromAgent<'report'>, 'id'> | undefined {
    const about = this.#about();
    const isNews = !isDeepStrictEqual(about, this.#reportedAbout);
    const services = this.#changes();
    if (!isNews && services.length === 0) return undefined;
    this.#reportedAbout = about;
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

  #changes(): ServiceReport[] {
    const now = new Map<string, ServiceReport>();
    for (const lease of this.#leases()) {
      if (lease.phase === 'closed') continue;
      const service = keyOf(lease);
      // If one lease replaces another, the new one counts.
      if (!now.has(service) || !lease.isEnding) now.set(service, reportOf(lease));
    }
    const changes: ServiceReport[] = [];
    for (const service of this.#reported.keys())
      if (!now.has(service)) changes.push({ service, phase: 'closed' });
    for (const [service, report] of now)
      if (!isDeepStrictEqual(report, this.#reported.get(service))) changes.push(report);
    const first = changes.slice(0, LIMITS.maxReportedServices);
    for (const report of first) {
      if (report.phase === 'closed') this.#reported.delete(report.service);
      else this.#reported.set(report.service, report);
    }
    // The rest goes into the next report.
    if (changes.length > first.length) this.#isDue = true;
    return first;
  }
}

/** The protocol's limit of a text. The relay must not close the channel for a longer one. */
const MAX_KEY_CHARS = 200;

const keyOf = ({ spec }: Pick<Lease, 'spec'>): string => spec.service.slice(0, MAX_KEY_CHARS);

function reportOf({ spec, phase, id, error }: Lease): ServiceReport {
  return {
    service: keyOf({ spec }),
    phase,
    ...(id !== undefined && { lease: id }),
    ...(error && { code: error.code }),
  };
}
