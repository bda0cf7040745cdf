import type { AccessLog } from '../agent/access-log.js';
import { randomUUID } from 'node:crypto';
import { AcmeCertificates, type AcmeOptions } from '../certificates/acme/certificates.js';
import type { CertificateSources } from '../certificates/live.js';
import { LocalCertificates } from '../certificates/source.js';
import { openLocalCa } from '../certificates/local-ca.js';
import type { Recorders } from '../agent/inspect/recorder.js';
import { checkHealth } from '../agent/target/health-check.js';
import { KnownTargets } from '../agent/target/known-targets.js';
import type { ShareStore } from '../agent/access/share/store.js';
import { AgentLease } from '../agent/lease/lease.js';
import { ProbePace } from '../agent/proof/probe-pace.js';
import type { AgentInfo } from '../agent/session/report.js';
import type { HoldLimits } from '../agent/hold/limits.js';
import type { HeldCounts } from '../agent/status.js';
import { relayKey } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';
import type { Problem } from '../config/problem.js';
import type { Identity } from '../identity/identity.js';
import type { Logger } from '../lib/logger.js';
import { within } from '../lib/wait.js';
import { formatTarget } from '../net/target.js';
import type { AgentStatus, PortalEvent, ProblemSummary, Readiness, UnplacedStatus } from './events.js';
import { ActiveLeases, isSettled } from './active.js';
import { Announcer, isFinal } from './announce.js';
import { Commands } from './commands.js';
import { serviceUrls } from './service-urls.js';
import { CandidatePool, type CandidatePoolOptions } from './candidates/pool.js';
import type { Survey } from './candidates/survey.js';
import type { ProxyFor } from './endpoint.js';
import { ExpiryClock } from './expiry.js';
import { HealthChecks } from './health.js';
import type { NameRejection } from '../agent/lease/rejected-name.js';
import {
  caCreated,
  nameRejected,
  replicasMissing,
  termsAgreed,
  type Notice,
  type PortHolder,
} from './notices.js';
import { Holding } from './holding.js';
import { Inspection, type InspectorSettings } from './inspection.js';
import { PublicNames } from './public-names.js';
import { placements, plan, type Action, type Placement } from './plan.js';
import { Folders } from './folders.js';
import { EmbeddedRelays, type EmbeddedRelay, type EmbeddedSpec } from './embedded.js';
import { RelayPool, type RelayTrust } from './relays.js';
import { Passes } from './passes.js';
import { Report } from './report.js';
import { RunState } from './run-state.js';
import { Sharing } from './sharing.js';
import { TargetWatch } from './targets.js';
import { Unplaced } from './unplaced.js';

export type { EmbeddedRelay, EmbeddedSpec } from './embedded.js';

export interface RunnerOptions {
  /** Absolute path of portal.yaml; null without one. */
  readonly file: string | null;
  readonly version: string;
  /** Name of this machine, unless the file sets one. Default: relays get no name. */
  readonly machine?: string;
  readonly identity: Identity;
  /** Folder of the local CA (lib/paths). */
  readonly caDir: string;
  /** Average interval between two visits that prove a service reachable. */
  readonly proveEveryMs?: number;
  /** Folder of ACME accounts and certificates (lib/paths). */
  readonly acmeDir: string;
  /** ACME schedule. Default: the usual pauses. */
  readonly acme?: Pick<AcmeOptions, 'schedule'>;
  readonly proxyFor?: ProxyFor;
  /** Folder of the copies of registries (lib/paths). Default: in memory only. */
  readonly registryDir?: string;
  /** Intervals and timeouts of the pool that differ from the defaults. */
  readonly candidates?: CandidatePoolOptions['paces'];
  /** Called with warnings that no event carries. */
  readonly warn?: (message: string) => void;
  /** Checks the keys of relays. Default: keys are not stored. */
  readonly trust?: RelayTrust;
  /** The share links of the identity. Default: links open nothing. */
  readonly shareStore?: ShareStore;
  /** Shows the requests of inspected services. Default: none are recorded. */
  readonly inspector?: InspectorSettings;
  /** Folder of held requests (lib/paths). Default: none is held. */
  readonly heldDir?: string;
  /** Limits of held requests that differ from the defaults. */
  readonly holdLimits?: Partial<HoldLimits>;
  /** Gets the requests of visitors in HTTP. Default: none is listed. */
  readonly accessLog?: AccessLog;
  /** The environment that the commands of services inherit. Default: an empty one. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly startEmbedded: (spec: EmbeddedSpec) => Promise<EmbeddedRelay>;
  readonly portHolder?: PortHolder;
  readonly emit: (event: PortalEvent) => void;
  readonly log: Logger;
}

const PROVE_EVERY_MS = 5 * 60_000;
/** A pass reports after this time, even if a relay has not responded yet. */
const SETTLE_MS = 10_000;
/** Timeout of the first choice of candidates in the first pass, if the file names no relay. */
const FIRST_CHOICE_MS = 5_000;
/** During shutdown, a connection without bytes for this long counts as finished. */
const QUIET_MS = 1_000;
const NOTHING: Desired = { file: undefined, identityFile: undefined, relays: [], services: [] };

/** Makes Desired the running configuration, one pass at a time, and reports events. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #pool: RelayPool;
  readonly #embedded: EmbeddedRelays;
  readonly #certificates: CertificateSources;
  readonly #sessionKey: Buffer;
  readonly #targets = new KnownTargets();
  readonly #startedAt = new Date();
  readonly #active: ActiveLeases;
  readonly #pace = new ProbePace();
  /** The requested configuration, including expired services. */
  #desired: Desired | undefined;
  /** The effective configuration: without expired services, and with the chosen relays. */
  #current: Desired | undefined;
  readonly #candidates: CandidatePool;
  readonly #state = new RunState();
  /** Services keep their relays until the first choice. */
  #keepsRelays = false;
  readonly #clock: ExpiryClock;
  readonly #announce: Announcer;
  readonly #unplaced: Unplaced;
  readonly #report: Report;
  readonly #inspection: Inspection | undefined;
  /** Creates share links. Undefined without a store for them. */
  readonly sharing: Sharing | undefined;
  readonly #holding: Holding;
  readonly #health: HealthChecks;
  readonly #targetWatch: TargetWatch;
  readonly #commands: Commands;
  readonly #folders = new Folders();
  readonly #publicNames: PublicNames;
  readonly #passes = new Passes((desired) => this.#pass(desired));
  /** Notices that users saw. */
  readonly #noticed = new Set<string>();
  #rejected: ProblemSummary[] = [];
  #stopped: Promise<void> | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#clock = new ExpiryClock(this.#startedAt.getTime());
    this.#sessionKey = options.identity.derive('visitor sessions');
    this.sharing =
      options.shareStore && new Sharing(options.identity, options.shareStore, () => this.#active.all);
    this.#announce = new Announcer(options.emit);
    const { emit, log } = options;
    const notify = (notice: Notice): void => emit({ event: 'notice', ...notice });
    const snapshot = (): Pick<AgentStatus, 'relays' | 'leases' | 'held'> => ({
      ...this.#report.snapshot(),
      ...this.#holding.status,
    });
    const { identity, file, inspector, portHolder } = options;
    this.#inspection =
      inspector && new Inspection({ ...inspector, identity, file, snapshot, emit, portHolder, log });
    this.#holding = new Holding({
      folder: options.heldDir,
      limits: options.holdLimits,
      identity,
      file,
      errorsOf: (service) => this.#targetWatch.errorsOf(service),
      emit: (event) => {
        emit(event);
        this.#inspection?.changed();
      },
      warn: (message) => options.warn?.(message),
      log,
    });
    this.#health = new HealthChecks(
      (service, error) => {
        const spec = this.#current?.services.find((one) => one.service === service);
        if (spec && error !== undefined) this.#targets.forget(formatTarget(spec.target));
        // The state of a program that starts is no news.
        if (error === undefined || !this.#commands.isStarting(service))
          emit({
            event: 'health',
            service,
            healthy: error === undefined,
            ...(error !== undefined && { error }),
          });
        this.#tellTarget(service);
        this.#inspection?.changed();
      },
      async (spec, signal) => {
        const error = await checkHealth(spec, signal);
        // Report a target that does not respond as unreachable, before it is reported as unhealthy.
        if (error !== undefined) await this.#targetWatch.recheck(spec.service);
        return error;
      },
    );
    this.#commands = new Commands({
      environment: options.environment ?? {},
      urls: () =>
        serviceUrls(
          this.#current ?? NOTHING,
          this.#active.lasting.map(({ spec, relay, address }) => ({
            ...address,
            service: spec.service,
            relay,
          })),
        ),
      isUp: (service) => this.#targetWatch.isUp(service) && this.#health.errorOf(service) === undefined,
      emit,
    });
    this.#targetWatch = new TargetWatch(
      ({ service, target, error }) => {
        const found = { reachable: error === undefined, ...(error !== undefined && { error }) };
        emit({ event: 'target', service, target, ...found });
        if (error === undefined) this.#health.recheck(service);
        if (error === undefined) this.#holding.targetUp(service);
        this.#tellTarget(service);
        this.#inspection?.changed();
      },
      { isStarting: (service) => this.#commands.isStarting(service) },
    );
    this.#publicNames = new PublicNames({ proxyFor: options.proxyFor, notify, log });
    this.#unplaced = new Unplaced(emit);
    this.#certificates = {
      local: new LocalCertificates(() =>
        openLocalCa(options.caDir, { log, onCreated: (made) => notify(caCreated(made)) }),
      ),
      acme: new AcmeCertificates({
        folder: options.acmeDir,
        log: options.log,
        proxyFor: options.proxyFor,
        onTermsAgreed: (directory) => notify(termsAgreed(directory)),
        ...options.acme,
      }),
    };
    // The CA may reach any replica, so relays must know which one has the response.
    this.#certificates.acme.challenges.share = (hostname, pair) =>
      this.#tellValidation(hostname, pair !== undefined);
    this.#candidates = new CandidatePool({
      ...(options.registryDir !== undefined && { cacheDir: options.registryDir }),
      ...(options.proxyFor && { proxyFor: options.proxyFor }),
      ...(options.trust && { trust: options.trust }),
      ...(options.candidates && { paces: options.candidates }),
      responding: (keys, ms) => this.#pool.responding(keys, ms),
      onChoice: () => this.#applyAgain(),
      onSettled: () => this.#onFirstChoice(),
      onNews: () => this.#reportUnplaced(),
      warn: (message) => options.warn?.(message),
      log: options.log,
    });
    this.#active = new ActiveLeases({
      make: (place) => this.#makeLease(place),
      opened: (lease, relay) => {
        this.#announce.lease(lease);
        this.#pool.ensure(relay).add(lease);
      },
      finished: async (lease, relay) => {
        this.#pool.ensure(relay).remove(lease);
        if (!this.#state.isStopping && this.#current) await this.#pool.release(this.#current.relays);
      },
      log,
    });
    this.#embedded = new EmbeddedRelays({
      start: options.startEmbedded,
      notify,
      portHolder,
    });
    this.#pool = new RelayPool({
      onState: (relay, state, error) => this.#candidates.session(relay, state, error),
      identity: options.identity,
      instance: randomUUID(),
      about: () => this.#about(),
      version: options.version,
      log: options.log,
      embedded: this.#embedded,
      notify,
      ...(options.proxyFor && { proxyFor: options.proxyFor }),
      ...(options.trust && { trust: options.trust }),
    });
    this.#report = new Report({
      active: this.#active,
      pool: this.#pool,
      candidates: this.#candidates,
      unplaced: this.#unplaced,
      health: this.#health,
      targets: this.#targetWatch,
      clock: this.#clock,
      certificates: this.#certificates,
      ...(options.proxyFor && { proxyFor: options.proxyFor }),
      ...(options.trust && { trust: options.trust }),
    });
  }

  /**
   * Makes `desired` the running configuration. Resolves when every action has its first outcome (ready, failed, or retrying).
   * Requests during a pass merge into the next one, and only the last counts.
   */
  apply(desired: Desired): Promise<void> {
    // A slow start must not delay the next edit.
    if (this.#commands.isAnyStarting) this.#state.hurry();
    return this.#passes.ask(desired);
  }

  /** Reports a rejected save. The running configuration stays. */
  reject(problems: readonly Problem[]): void {
    this.#rejected = problems.map(withoutFrame);
    this.#options.emit({ event: 'rejected', errors: this.#rejected });
  }

  /** What `apply(desired)` would do now. */
  plan(desired: Desired): Action[] {
    const { placed } = this.#active;
    const wanted = this.#placed(this.#clock.unexpired(desired));
    const actions = plan(this.#candidates.extend(wanted, placed), placed);
    return this.#holding.marked(actions, wanted.services);
  }

  /** Checks every relay and local service, with a timeout, then returns the state. */
  async status(): Promise<AgentStatus> {
    const found = await this.#report.status();
    const inspector = this.#inspection?.url;
    return {
      pid: process.pid,
      file: this.#options.file,
      identity: this.#options.identity.address,
      startedAt: this.#startedAt.toISOString(),
      revision: this.#state.revision,
      rejected: this.#rejected,
      ...(inspector === undefined ? {} : { inspector }),
      ...found,
      ...this.#holding.status,
      ...(this.#commands.status.length > 0 && { commands: this.#commands.status }),
    };
  }

  /** The known state, without asking anyone. */
  snapshot(): Pick<AgentStatus, 'relays' | 'leases' | 'inspector' | 'held'> & {
    unplaced: readonly UnplacedStatus[];
    /** By service, since this agent started. */
    heldCounts: ReadonlyMap<string, HeldCounts>;
  } {
    const inspector = this.#inspection?.url;
    return {
      ...this.#report.snapshot(),
      ...this.#holding.status,
      heldCounts: this.#holding.held.counts,
      unplaced: this.#unplaced.status,
      ...(inspector !== undefined && { inspector }),
    };
  }

  /** Whether visitors reach every service. Sends nothing to relays or services, so it may be called often. */
  readiness(): Readiness {
    return this.#report.readiness(this.#state.isServing ? this.#current : undefined);
  }

  /** Every relay that the configuration resolves to, with its known state. Has a timeout. */
  relays(): Promise<Survey> {
    return this.#report.relays(this.#desired);
  }

  /** Proves now that visitors reach each service; `status` shows the result. Has a timeout. */
  async prove(): Promise<void> {
    await Promise.all(this.#active.leases.map((lease) => lease.proveNow()));
  }

  /** The recorded requests. Undefined without an inspector. */
  get recorders(): Recorders | undefined {
    return this.#inspection?.recorders;
  }

  /** Deletes the held requests. Resolves with their number. */
  wipeHeld(): Promise<number> {
    return this.#holding.held.wipe();
  }

  /** The number of connected visitors of all services. */
  get visitors(): number {
    return this.#active.all.reduce((sum, lease) => sum + lease.status().visitors, 0);
  }

  /** Stops accepting, drains for at most `drainMs`, unregisters, closes everything. Idempotent. */
  stop({ reason, drainMs }: { reason: string; drainMs: number }): Promise<void> {
    this.#stopped ??= this.#stop(reason, drainMs);
    return this.#stopped;
  }

  /** Ends the programs of all services now, because the process exits. */
  kill(): void {
    this.#commands.kill();
  }

  /** `desired` with the actual ports of its relays, commands and folders. */
  #placed(desired: Desired): Desired {
    return this.#commands.placed(this.#folders.placed(this.#embedded.placed(desired)));
  }

  /** Applies the latest Desired again, because its effect may have changed. */
  #applyAgain(): void {
    if (this.#state.now === 'choosing') return;
    const desired = this.#passes.next ?? this.#desired;
    this.#state.hurry();
    if (desired) void this.apply(desired);
  }

  async #pass(desired: Desired): Promise<void> {
    const startedAt = performance.now();
    if (!this.#state.enter('preparing')) return;
    const unexpired = this.#clock.unexpired(desired);
    this.#desired = desired;
    this.#pool.changed();
    await this.#embedded.start(unexpired);
    await this.#commands.prepare(unexpired);
    await this.#folders.prepare(unexpired);
    const wanted = this.#placed(unexpired);
    if (!this.#state.enter('choosing')) return;
    this.#candidates.follow(wanted);
    // Without any relay, services cannot start before the choice.
    if (wanted.relays.length === 0) await this.#candidates.settled(FIRST_CHOICE_MS);
    if (!this.#state.enter('opening')) return;
    this.#keepsRelays = !this.#candidates.isSettled && this.#active.placed.length > 0;
    const current = this.#candidates.extend(wanted, this.#active.placed);
    this.#current = current;
    this.#reportUnplaced();
    const actions = plan(current, this.#active.placed);
    this.#clock.watch(desired, () => this.#applyAgain());
    this.#rejected = [];
    await this.#inspection?.follow(current);
    await this.#holding.follow(current);
    if (this.#state.isStopping) return;
    this.#commands.follow(current);
    // Report a target that does not respond only once, and not as unhealthy as well.
    this.#targetWatch.follow(current.services);
    this.#health.follow(current.services);
    for (const spec of current.relays) this.#pool.ensure(spec);
    const opened = this.#active.carryOut(actions, placements(current));
    const settled = Promise.all([opened, this.#targetWatch.known()]);
    await within(Promise.race([settled, this.#state.hurried]), SETTLE_MS, 'a pass').catch(() => undefined);
    if (this.#state.isStopping) return;
    await this.#pool.release(current.relays);
    await this.#folders.release(current);
    const { lasting, retiring } = this.#active;
    if (!this.#state.enter('running')) return;
    this.#announce.applied(this.#state.revision, actions, lasting, retiring, performance.now() - startedAt);
    this.#reportReady();
  }

  #makeLease({ relay, spec }: Placement): AgentLease {
    const lease = new AgentLease({
      spec,
      relay: relayKey(relay),
      pace: this.#pace,
      proveEveryMs: this.#options.proveEveryMs ?? PROVE_EVERY_MS,
      certificates: this.#certificates,
      targets: this.#targets,
      sessionKey: this.#sessionKey,
      identity: this.#options.identity,
      shares: this.sharing?.shares,
      proxyFor: this.#options.proxyFor,
      recorders: this.#inspection?.recorders,
      accessLog: this.#options.accessLog,
      held: this.#holding.held,
      onUnserved: ({ spec: { service }, relay: at }, reason, count) =>
        this.#options.emit({ event: 'unserved', service, relay: at, reason, count }),
      onPhase: (changed) => {
        this.#phaseChanged(changed);
        if (changed.phase === 'ready') this.#publicNames.ready(relay, changed);
      },
      onNameRejected: ({ spec: { service } }, rejection) => this.#nameRejected(service, rejection),
      onWithoutReplicas: ({ spec: { service }, relay: at }) =>
        this.#once(`replicas ${service} ${at}`, () => replicasMissing(service, at)),
      onServedAs: (changed) => {
        this.#announce.served(changed);
        this.#inspection?.changed();
      },
      onReached: ({ spec: { service } }, target, failure) =>
        this.#targetWatch.noted(service, target, failure?.message),
      onVisitorRejected: ({ spec: { service } }, reason, remote) =>
        this.#options.emit({ event: 'refused', service, reason, remote }),
      log: this.#options.log,
    });
    lease.targetUp = this.#targetErrorOf(spec.service) === undefined;
    return lease;
  }

  #targetErrorOf(service: string): string | undefined {
    return this.#targetWatch.errorOf(service) ?? this.#health.errorOf(service);
  }

  async #tellValidation(hostname: string, isValidating: boolean): Promise<void> {
    const leases = this.#active.all.filter((lease) => lease.hostname === hostname);
    await Promise.all(leases.map((lease) => lease.validates(isValidating)));
  }

  /** Visitors should go to other replicas while a local service does not respond. */
  #tellTarget(service: string): void {
    const error = this.#targetErrorOf(service);
    for (const lease of this.#active.leases)
      if (lease.spec.service === service) lease.targetUp = error === undefined;
    this.#commands.changed();
  }

  /** Reports each service and framework once, however many visitors see it. */
  #nameRejected(service: string, rejection: NameRejection): void {
    this.#once(`rejected ${service} ${rejection.id}`, () => nameRejected(service, rejection));
  }

  #once(key: string, notice: () => Notice): void {
    if (this.#noticed.has(key)) return;
    this.#noticed.add(key);
    this.#options.emit({ event: 'notice', ...notice() });
  }

  /** What the identity's owner sees of this agent. */
  #about(): AgentInfo {
    const { machine = this.#options.machine, team = [] } = this.#desired ?? {};
    return { machine: machine === false ? undefined : machine, team };
  }

  #phaseChanged(lease: AgentLease): void {
    this.#announce.lease(lease);
    this.#pool.changed(lease.relay);
    this.#inspection?.changed();
    this.#active.phaseChanged(lease);
    if (this.#state.revision > 0 && isSettled(lease)) this.#reportReady();
  }

  /** If nothing was chosen, services no longer keep their relays. */
  #onFirstChoice(): void {
    this.#reportReady();
    if (this.#keepsRelays) this.#applyAgain();
  }

  #reportUnplaced(): void {
    if (this.#state.isStopping || !this.#current) return;
    const services = this.#current.services.filter(({ relays }) => relays.length === 0);
    this.#unplaced.follow(
      services.map(({ service }) => service),
      () => this.#candidates.noRelayError(),
    );
  }

  #reportReady(): void {
    if (this.#state.isStopping || !this.#current || !this.#candidates.isSettled) return;
    this.#announce.ready(
      this.#active.lasting,
      this.#current.services.map(({ service }) => service),
      // For relays of the pool, the first outcome is enough.
      (lease) => isFinal(lease) || (this.#candidates.isChosen(lease.relay) && isSettled(lease)),
      (service) => this.#targetWatch.errorOf(service) === undefined,
    );
  }

  async #stop(reason: string, drainMs: number): Promise<void> {
    this.#state.enter('stopping');
    this.#passes.close();
    this.#clock.stop();
    this.#health.close();
    this.#targetWatch.close();
    this.#publicNames.close();
    await this.#candidates.close();
    const held = this.#holding.close(drainMs);
    let disconnected = 0;
    const onCut = (visitors: number): void => void (disconnected += visitors);
    await this.#active.close({ ms: drainMs, quietMs: QUIET_MS, onCut });
    await held;
    await this.#passes.ended();
    await this.#commands.close();
    await this.#folders.release(NOTHING);
    await this.#pool.release([]);
    await this.#embedded.close();
    await this.#inspection?.close();
    this.#certificates.acme.close();
    this.#options.emit({ event: 'stopped', reason, ...(disconnected > 0 && { disconnected }) });
  }
}

function withoutFrame(problem: Problem): ProblemSummary {
  const { frame: _, ...summary } = problem;
  return summary;
}

/** Creates a runner without a configuration. */
export function createRunner(options: RunnerOptions): Runner {
  return new Runner(options);
}
