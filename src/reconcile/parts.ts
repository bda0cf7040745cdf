import { randomUUID } from 'node:crypto';
import type { AgentLease } from '../agent/lease/lease.js';
import { ProbePace } from '../agent/proof/probe-pace.js';
import type { AgentInfo } from '../agent/session/report.js';
import type { AgentStatus } from './events.js';
import { AcmeCertificates } from '../certificates/acme/certificates.js';
import type { CertificateSources } from '../certificates/live.js';
import { openLocalCa } from '../certificates/local-ca.js';
import { LocalCertificates } from '../certificates/source.js';
import type { Desired } from '../config/desired.js';
import { ActiveLeases } from './active.js';
import { Announcer } from './announce.js';
import { CandidatePool } from './candidates/pool.js';
import { Commands } from './local/commands.js';
import { EmbeddedRelays } from './relays/embedded.js';
import { ExpiryClock } from './local/expiry.js';
import { Folders } from './local/folders.js';
import { Holding } from './local/holding.js';
import { Inspection } from './local/inspection.js';
import { LeaseMaker } from './relays/lease-maker.js';
import { LocalServices } from './local/local-services.js';
import { caCreated, termsAgreed, type Notice } from './notices.js';
import type { RunnerOptions } from './options.js';
import { PublicNames } from './relays/public-names.js';
import { RelayPool } from './relays/relays.js';
import { Report } from './report.js';
import { serviceUrls } from './service-urls.js';
import { Sharing } from './local/sharing.js';
import { Unplaced } from './relays/unplaced.js';

const PROVE_EVERY_MS = 5 * 60_000;

/** What the parts ask and tell the runner. */
export interface RunnerHooks {
  /** The configuration in effect. Empty before the first pass. */
  readonly current: () => Desired;
  /** What the identity's owner sees of this agent. */
  readonly about: () => AgentInfo;
  readonly onPhase: (lease: AgentLease) => void;
  /** Called once a lease has drained and closed. */
  readonly onFinished: () => Promise<void>;
  /** The choice of relays has changed. */
  readonly onChoice: () => void;
  /** The first choice of relays has been made, possibly of none. */
  readonly onFirstChoice: () => void;
  /** The reason why services have no relay may have changed. */
  readonly onNews: () => void;
}

/** The parts of a runner, made and connected. Each owns its state, and does nothing before the runner uses it. */
export class RunnerParts {
  readonly startedAt = new Date();
  readonly clock = new ExpiryClock(this.startedAt.getTime());
  readonly folders = new Folders();
  readonly announce: Announcer;
  /** Creates share links. Undefined without a store for them. */
  readonly sharing: Sharing | undefined;
  /** Undefined without an inspector. */
  readonly inspection: Inspection | undefined;
  readonly holding: Holding;
  readonly local: LocalServices;
  readonly commands: Commands;
  readonly publicNames: PublicNames;
  readonly unplaced: Unplaced;
  readonly certificates: CertificateSources;
  readonly active: ActiveLeases;
  readonly candidates: CandidatePool;
  readonly embedded: EmbeddedRelays;
  readonly pool: RelayPool;
  readonly report: Report;
  readonly #options: RunnerOptions;
  readonly #hooks: RunnerHooks;

  constructor(options: RunnerOptions, hooks: RunnerHooks) {
    this.#options = options;
    this.#hooks = hooks;
    const { emit, log, proxyFor, portHolder, identity, shareStore } = options;
    const notify = (notice: Notice): void => emit({ event: 'notice', ...notice });
    this.announce = new Announcer(emit, (service) => this.local.isReachable(service));
    this.unplaced = new Unplaced(emit);
    this.sharing = shareStore && new Sharing(identity, shareStore, () => this.active.all);
    this.inspection = this.#makeInspection();
    this.holding = this.#makeHolding();
    this.local = this.#makeLocal();
    this.commands = this.#makeCommands();
    this.publicNames = new PublicNames({ proxyFor, notify, log });
    this.certificates = this.#makeCertificates(notify);
    this.candidates = this.#makeCandidates();
    this.active = this.#makeActive();
    this.embedded = new EmbeddedRelays({ start: options.startEmbedded, notify, portHolder });
    this.pool = this.#makePool(notify);
    this.report = this.#makeReport();
  }

  /** What is known of relays, leases and held requests, without asking anyone. */
  snapshot(): Pick<AgentStatus, 'relays' | 'leases' | 'held'> {
    return { ...this.report.snapshot(), ...this.holding.status };
  }

  #makeInspection(): Inspection | undefined {
    const { inspector, identity, file, emit, portHolder, warn = () => undefined, log } = this.#options;
    const snapshot = (): ReturnType<RunnerParts['snapshot']> => this.snapshot();
    return (
      inspector && new Inspection({ ...inspector, identity, file, snapshot, emit, portHolder, warn, log })
    );
  }

  #makeHolding(): Holding {
    const { heldDir, holdLimits, identity, file, emit, warn, log } = this.#options;
    return new Holding({
      folder: heldDir,
      limits: holdLimits,
      identity,
      file,
      errorsOf: (service) => this.local.targetErrorsOf(service),
      emit: (event) => {
        emit(event);
        this.inspection?.changed();
      },
      warn: (message) => warn?.(message),
      log,
    });
  }

  #makeLocal(): LocalServices {
    return new LocalServices({
      isStarting: (service) => this.commands.isStarting(service),
      emit: this.#options.emit,
      onReachable: (service) => this.holding.targetUp(service),
      onChange: (service) => {
        // Visitors should go to other replicas while a local service does not respond.
        const isUp = this.local.errorOf(service) === undefined;
        for (const lease of this.active.leases) if (lease.spec.service === service) lease.targetUp = isUp;
        this.commands.changed();
        this.inspection?.changed();
      },
    });
  }

  #makeCommands(): Commands {
    const { environment = {}, emit } = this.#options;
    return new Commands({
      environment,
      urls: () =>
        serviceUrls(
          this.#hooks.current(),
          this.active.lasting.map(({ spec, relay, address }) => ({
            ...address,
            service: spec.service,
            relay,
          })),
        ),
      isUp: (service) => this.local.isUp(service),
      emit,
    });
  }

  #makeCertificates(notify: (notice: Notice) => void): CertificateSources {
    const { caDir, acmeDir, acme, proxyFor, log } = this.#options;
    const certificates = {
      local: new LocalCertificates(() =>
        openLocalCa(caDir, { log, onCreated: (...made) => notify(caCreated(...made)) }),
      ),
      acme: new AcmeCertificates({
        folder: acmeDir,
        log,
        proxyFor,
        onTermsAgreed: (directory) => notify(termsAgreed(directory)),
        ...acme,
      }),
    };
    // The CA may reach any replica, so relays must know which one has the response.
    certificates.acme.challenges.share = async (hostname, pair) => {
      const leases = this.active.all.filter((lease) => lease.hostname === hostname);
      await Promise.all(leases.map((lease) => lease.validates(pair !== undefined)));
    };
    return certificates;
  }

  #makeCandidates(): CandidatePool {
    const { registryDir, proxyFor, trust, candidates, warn, log } = this.#options;
    const { onChoice, onFirstChoice, onNews } = this.#hooks;
    return new CandidatePool({
      ...(registryDir !== undefined && { cacheDir: registryDir }),
      ...(proxyFor && { proxyFor }),
      ...(trust && { trust }),
      ...(candidates && { paces: candidates }),
      responding: (keys, ms) => this.pool.responding(keys, ms),
      onChoice,
      onSettled: onFirstChoice,
      onNews,
      warn: (message) => warn?.(message),
      log,
    });
  }

  #makeActive(): ActiveLeases {
    const maker = this.#makeLeaseMaker();
    return new ActiveLeases({
      make: (place) => maker.make(place),
      opened: (lease, relay) => {
        this.announce.lease(lease);
        this.pool.ensure(relay).add(lease);
      },
      finished: async (lease, relay) => {
        this.pool.ensure(relay).remove(lease);
        await this.#hooks.onFinished();
      },
      log: this.#options.log,
    });
  }

  #makeLeaseMaker(): LeaseMaker {
    const { identity, proxyFor, accessLog, emit, log, proveEveryMs = PROVE_EVERY_MS } = this.#options;
    return new LeaseMaker({
      shared: {
        pace: new ProbePace(),
        proveEveryMs,
        certificates: this.certificates,
        sessionKey: identity.derive('visitor sessions'),
        identity,
        shares: this.sharing?.shares,
        proxyFor,
        recorders: this.inspection?.recorders,
        accessLog,
        held: this.holding.held,
        log,
      },
      local: this.local,
      emit,
      onPhase: (lease, relay) => {
        this.#hooks.onPhase(lease);
        if (lease.phase === 'ready') this.publicNames.ready(relay, lease);
      },
      onServedAs: (lease) => {
        this.announce.served(lease);
        this.inspection?.changed();
      },
    });
  }

  #makePool(notify: (notice: Notice) => void): RelayPool {
    const { identity, version, log, proxyFor, trust } = this.#options;
    return new RelayPool({
      onState: (relay, state, error) => this.candidates.session(relay, state, error),
      identity,
      instance: randomUUID(),
      about: this.#hooks.about,
      version,
      log,
      embedded: this.embedded,
      notify,
      ...(proxyFor && { proxyFor }),
      ...(trust && { trust }),
    });
  }
  #makeReport(): Report {
    const { proxyFor, trust } = this.#options;
    const { active, pool, candidates, unplaced, local, commands, clock, certificates } = this;
    return new Report({
      active,
      pool,
      candidates,
      unplaced,
      local,
      commands,
      clock,
      certificates,
      ...(proxyFor && { proxyFor }),
      ...(trust && { trust }),
    });
  }
}
