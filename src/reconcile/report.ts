import { countOverruns } from '../net/datagrams/udp-overruns.js';
import { summaryOf } from '../agent/session/phase.js';
import type { AgentLease } from '../agent/lease/lease.js';
import type { LeaseStatus } from '../agent/status.js';
import type { CertificateSources } from '../certificates/live.js';
import type { Desired } from '../config/desired.js';
import type { ActiveLeases } from './active.js';
import type { Commands } from './local/commands.js';
import type { CandidatePool } from './candidates/pool.js';
import { surveyOfAgent, type Survey, type SurveyOptions } from './candidates/survey.js';
import { addressesOf } from './announce.js';
import type { AgentStatus, Readiness } from './events.js';
import type { ExpiryClock } from './local/expiry.js';
import type { LocalServices } from './local/local-services.js';
import type { RelayPool } from './relays/relays.js';
import type { Unplaced } from './relays/unplaced.js';

export interface ReportOptions extends SurveyOptions {
  readonly active: ActiveLeases;
  readonly pool: RelayPool;
  readonly candidates: CandidatePool;
  readonly unplaced: Unplaced;
  readonly local: LocalServices;
  readonly commands: Pick<Commands, 'startingOf'>;
  readonly clock: ExpiryClock;
  readonly certificates: CertificateSources;
}

/** Describes the active state for `status`, `list` and the inspector. Changes nothing. */
export class Report {
  readonly #options: ReportOptions;

  constructor(options: ReportOptions) {
    this.#options = options;
  }

  /** Checks every relay and local service, with a timeout, then returns the state. */
  async status(): Promise<Pick<AgentStatus, 'ca' | 'registry' | 'relays' | 'leases' | 'unplaced'>> {
    const { pool, certificates, unplaced, local } = this.#options;
    await Promise.all([pool.check(), local.now()]);
    countOverruns();
    const ca = certificates.local.caFile;
    return {
      ...(ca === undefined ? {} : { ca }),
      ...this.#registry(),
      ...this.snapshot(),
      ...(unplaced.status.length > 0 && { unplaced: unplaced.status }),
    };
  }

  /** The known state, without a check. */
  snapshot(): Pick<AgentStatus, 'relays' | 'leases'> {
    const { active, pool } = this.#options;
    return { relays: pool.status(), leases: active.all.map((lease) => this.#statusOf(lease)) };
  }

  /** A service is ready when one of its leases is. Nothing is ready while `current` is undefined. */
  readiness(current: Desired | undefined): Readiness {
    const { active, unplaced } = this.#options;
    const leases = current ? active.lasting : [];
    const services = addressesOf(leases.filter(({ phase }) => phase === 'ready'));
    const waiting = (current?.services ?? [])
      .filter(({ service }) => services[service] === undefined)
      .map(({ service }) => {
        const lease = leases.find(({ spec }) => spec.service === service);
        const error = lease?.error ?? unplaced.status.find((one) => one.service === service)?.error;
        return { service, ...(lease && { phase: lease.phase }), ...(error && { error }) };
      });
    return { ready: current !== undefined && waiting.length === 0, services, waiting };
  }

  /** Every relay that `desired` resolves to, with its known state. Has a timeout. */
  async relays(desired: Desired | undefined): Promise<Survey> {
    const { pool, candidates } = this.#options;
    await pool.check();
    const isChosen = (key: string): boolean => candidates.isChosen(key);
    const relays = desired
      ? await surveyOfAgent(desired, pool.status(), candidates.candidates, isChosen, this.#options)
      : [];
    return { relays, ...this.#registry() };
  }

  #registry(): Pick<AgentStatus, 'registry'> {
    const registry = this.#options.candidates.registryStatus();
    if (!registry) return {};
    const { error, skipped: _, ...status } = registry;
    return { registry: { ...status, ...(error && { error: summaryOf(error) }) } };
  }

  #statusOf(lease: AgentLease): LeaseStatus {
    const { clock, commands, local } = this.#options;
    const { expires, service } = lease.spec;
    const at = clock.expiresAt(expires);
    const healthError = local.healthErrorOf(service);
    const targetErrors = local.targetErrorsOf(service);
    const targetError = Object.values(targetErrors)[0];
    const localSince = local.changedAt(service)?.toISOString();
    const starting = commands.startingOf(service);
    const late = starting?.targets.filter((target) => target in targetErrors) ?? [];
    return {
      ...lease.status(),
      ...(targetError !== undefined && { targetError, targetErrors }),
      ...(late.length > 0 && { starting: { ...starting, targets: late } }),
      ...(healthError !== undefined && { healthError }),
      ...(localSince !== undefined && { localSince }),
      ...(at !== undefined && { expiresAt: new Date(at).toISOString() }),
    };
  }
}
