import type { AccessLog } from '../access-log.js';
import { isDeepStrictEqual } from 'node:util';
import type { Socket } from 'node:net';
import type { LimitFunction as Limit } from 'p-limit';
import pRetry from 'p-retry';
import type { Identity } from '../../identity/identity.js';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { Tally } from '../../lib/tally.js';
import { delay, until } from '../../lib/wait.js';
import { resetSocket } from '../../net/reset.js';
import type { Drain } from '../../net/splice.js';
import { formatTarget, type Target } from '../../net/target.js';
import type { CertificateSources } from '../../certificates/live.js';
import { Gates } from '../access/gates.js';
import { gatesOf } from '../access/kinds.js';
import { Rejections, type RejectionReason } from '../access/rejections.js';
import type { Shares } from '../access/share/shares.js';
import type { NameRejection } from './rejected-name.js';
import { hintFor, missingFor } from '../capabilities.js';
import type { ControlChannel } from '../session/control.js';
import type { OpenSession } from '../session/open-session.js';
import type { HeldRequests } from '../hold/held-requests.js';
import type { Recorders } from '../inspect/recorder.js';
import type { KnownTargets } from '../target/known-targets.js';
import { HeldLease, offersReplicas, type Opened, type ReplicaState } from './held-lease.js';
import { NO_TRAFFIC, type VisitorInfo } from '../modes/mode.js';
import { PhaseRecord, summaryOf } from '../session/phase.js';
import type { ProbePace } from '../proof/probe-pace.js';
import { Prover, type Visit } from '../proof/prover.js';
import { FINAL_RETRY_MS, isFinal, RETRY, spread } from '../session/retry.js';
import type { ProxyFor } from '../../net/proxy/server.js';
import { openServing, type Serving } from '../serving/serving.js';
import { kindOf, servedMode, type ServedAs, type ServiceSpec } from '../spec.js';
import type { ErrorSummary, LeaseStatus, Phase, PublicAddress, ReplicasStatus, Unproven } from '../status.js';

export interface LeaseOptions {
  readonly spec: ServiceSpec;
  /** The relay's key, as in events and status. */
  readonly relay: string;
  /** Certificates for `tls: local` and `tls: acme`. */
  readonly certificates: CertificateSources;
  /** What the agent knows of targets, shared by all leases. */
  readonly targets: KnownTargets;
  /** Signs the sessions of visitors that passed a gate. Stable across restarts. */
  readonly sessionKey: Buffer;
  /** Owns the service. */
  readonly identity: Identity;
  /** The identity's share links. Default: links open nothing. */
  readonly shares?: Shares | undefined;
  /** The proxy for connections of gates. Default: none. */
  readonly proxyFor?: ProxyFor | undefined;
  /** Records the requests of inspected services. Default: no recording. */
  readonly recorders?: Recorders | undefined;
  /** Gets the requests of visitors in HTTP. Default: none is listed. */
  readonly accessLog?: AccessLog | undefined;
  /** Holds requests while their target is down. Default: none is held. */
  readonly held?: HeldRequests | undefined;
  /** Limits the agent's own visits in progress. */
  readonly pace: ProbePace;
  /** Average interval between two proofs of a ready lease. */
  readonly proveEveryMs: number;
  /** Called for visitors that a gate rejected, once per interval and address. */
  readonly onVisitorRejected: (lease: AgentLease, reason: RejectionReason, address: string) => void;
  /** Called when the target rejects the public name. */
  readonly onNameRejected?: (lease: AgentLease, rejection: NameRejection) => void;
  /** Called with the number of visitors that the relay gave up on, at most once per second. */
  readonly onUnserved: (lease: AgentLease, reason: string, count: number) => void;
  /** Called when visitors are served in another way, because of the target's protocol. */
  readonly onServedAs: (lease: AgentLease) => void;
  /** Called when the relay does not let other agents serve the name as well. */
  readonly onWithoutReplicas?: (lease: AgentLease) => void;
  /** Called for each connection to a target, with its error if it failed. */
  readonly onReached: (lease: AgentLease, target: Target, failure?: PortalError) => void;
  /** Called after each change of phase. */
  readonly onPhase: (lease: AgentLease) => void;
  readonly log: Logger;
}

/** How long a closing lease waits for visitors that were announced. A lost packet on a slow path takes more than a second. */
const ARRIVING_MS = 3_000;

/** How long to wait while a CA validates the hostname at another replica, and the pause between requests. */
const VALIDATION_MS = 60_000;
const VALIDATION_PAUSE_MS = 2_000;

/** The lease that takes over another's place. It has an id once it holds the place. */
export type NextLease = Pick<AgentLease, 'id'>;

/** The agent's side of a service's lease on one relay. Its phase is what `status` shows. */
export class AgentLease {
  #spec: ServiceSpec;
  readonly #options: LeaseOptions;
  #log: Logger;
  readonly #phase: PhaseRecord;
  readonly #prover: Prover;
  /** Visitors that the relay gave up on, by reason. */
  readonly #unserved = new Tally<string>();
  /** As the relay said last. Counts while the lease is ready. */
  #replicas: ReplicasStatus | undefined;
  #session: OpenSession | undefined;
  #opening: Limit | undefined;
  readonly #held: HeldLease;
  /** Whether all local services respond, as far as known. */
  #isTargetUp = true;
  /** Whether it can serve visitors: it has its certificate. */
  #isPrepared = false;
  readonly #rejections: Rejections;
  readonly #gates: Gates;
  /** What serves the lease, and for which hostname. It survives reconnects, so visitors and counters do too. */
  #serving: { hostname: string; ready: Promise<Serving> } | undefined;
  #served: Serving | undefined;
  #takenOverBy: NextLease | undefined;
  /** Another lease has taken over the place. */
  #isReplaced = false;
  /** Aborts the work for the current channel. */
  #attachment = new AbortController();
  /** Aborts all work of the lease when it closes. */
  readonly #ending = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#spec = options.spec;
    this.#held = new HeldLease(options.relay);
    this.#log = options.log.child({ service: options.spec.service });
    this.#rejections = new Rejections((reason, address) => options.onVisitorRejected(this, reason, address));
    const { spec, sessionKey, identity, shares, proxyFor } = options;
    const rejections = this.#rejections;
    this.#gates = new Gates({ spec, sessionKey, identity, shares, rejections, proxyFor, log: this.#log });
    this.#phase = new PhaseRecord(() => options.onPhase(this));
    this.#prover = new Prover(
      {
        relay: options.relay,
        pace: options.pace,
        everyMs: options.proveEveryMs,
        onChange: () => this.#phase.now === 'ready' && options.onPhase(this),
        onLost: (failure) => this.#lost(failure),
      },
      this.#log,
    );
  }

  get relay(): string {
    return this.#options.relay;
  }

  get spec(): ServiceSpec {
    return this.#spec;
  }

  get phase(): Phase {
    return this.#phase.now;
  }

  /** The public address from the relay: a URL or a port. */
  get address(): PublicAddress {
    return this.#held.address;
  }

  /** The requested public port, if the relay assigned another one. */
  get askedPort(): number | undefined {
    const [asked, given] = [this.#spec.port, this.#held.publicPort];
    return given === undefined || asked === given ? undefined : asked;
  }

  /** The requested port that the relay did not assign, and the ports that it offers. Empty if it assigned that port. */
  get otherPort(): Pick<LeaseStatus, 'askedPort' | 'portRange'> {
    const { askedPort } = this;
    const { portRange } = this.#held;
    return askedPort === undefined ? {} : { askedPort, ...(portRange && { portRange }) };
  }

  /** The relay's id of the lease, while it is open. */
  get id(): string | undefined {
    return this.#held.id;
  }

  /** Where visitors reach it, in modes with a hostname. */
  get hostname(): string | undefined {
    return this.#serving?.hostname;
  }

  /** Whether it accepts only visitors that were already on their way. */
  get isEnding(): boolean {
    return this.#isReplaced || this.#closing !== undefined;
  }

  /**
   * A session is available: opens the lease there, and proves that visitors get through. `opening` limits how many leases of
   * the session do so at a time. When the session `moves`, visitors are served throughout.
   */
  attach(session: OpenSession, opening: Limit, { moves = false } = {}): void {
    if (this.#closing) return;
    this.#opening = opening;
    this.#attachment.abort();
    this.#attachment = new AbortController();
    this.#session = session;
    // Opening this lease would take the place back from the other lease.
    if (this.#takenOverBy?.id !== undefined) return this.#rest();
    this.#isReplaced = false;
    if (!moves) this.#replicas = undefined;
    const { signal } = this.#attachment;
    if (!moves || this.#phase.now !== 'ready') this.#phase.set('opening');
    pRetry(() => this.#open(session, opening, signal), {
      ...RETRY,
      retries: Infinity,
      signal,
      // A pause that the relay requested replaces ours.
      shouldConsumeRetry: ({ error }) => asPortalError(error).retryAfterMs === undefined,
      shouldRetry: ({ error }) => asPortalError(error).code !== 'intercepted',
      onFailedAttempt: ({ error }) => this.#failedAttempt(asPortalError(error), signal),
    }).catch((error: unknown) => {
      if (!signal.aborted) this.#phase.set('failed', asPortalError(error));
    });
  }

  /** The session was lost or never connected. Connected visitors are not affected. */
  detach(error: PortalError): void {
    this.#attachment.abort();
    this.#session = undefined;
    if (this.#closing) return;
    this.#phase.countRetry();
    this.#phase.set(isFinal(error) ? 'failed' : 'retrying', error);
  }

  /**
   * Another of the agent's leases has, or will have, the same place at the same relay, by another path. Once the
   * relay has handed the place over, this lease only lets its visitors finish. `other` is undefined once
   * there is no such lease.
   */
  yieldTo(other: NextLease | undefined): void {
    this.#takenOverBy = other;
    const [session, opening] = [this.#session, this.#opening];
    if (!other && this.#isReplaced && session && opening) this.attach(session, opening);
  }

  /** The relay revoked the lease. Requests it again, unless another lease has replaced it. */
  revoked(reason: string): void {
    if (this.#takenOverBy) this.#rest();
    else this.#comeBack(new PortalError('not_found', reason));
  }

  /** The relay gave up on `count` visitors. */
  unserved(reason: string, count: number): void {
    this.#unserved.add(reason, count);
    this.#log.warn({ reason, count }, 'the relay could not serve visitors');
    this.#options.onUnserved(this, reason, count);
  }

  /** The relay told which agents serve the name. */
  sharesWith(replicas: ReplicasStatus): void {
    this.#replicas = replicas;
  }

  /** Whether the local services respond. */
  set targetUp(isUp: boolean) {
    this.#isTargetUp = isUp;
    this.#tellHealth();
  }

  /** Tells the relay whether a CA validates the hostname here. Waits until the relay agrees. */
  async validates(isValidating: boolean): Promise<void> {
    const [channel, { signal }] = [this.#channel, this.#attachment];
    if (!channel || !this.#spec.replicas) return;
    await pRetry(() => this.#held.tell(channel, this.#spec, { validating: isValidating }), {
      ...RETRY,
      maxTimeout: VALIDATION_PAUSE_MS,
      maxRetryTime: VALIDATION_MS,
      signal: AbortSignal.any([signal, this.#ending.signal]),
    });
  }

  /** Proves now that visitors get through, independent of the schedule. `status` shows the result. */
  async proveNow(): Promise<void> {
    const [session, serving] = [this.#session, this.#served];
    const { signal } = this.#attachment;
    if (session && serving && this.#phase.now === 'ready')
      await this.#prover.again(this.#visitOf(serving, session, signal), signal);
  }

  /** Disconnects visitors whose share links were revoked. */
  sharesRevoked(): void {
    this.#gates.sharesRevoked();
  }

  /** A visitor arrived on a data connection. */
  visit(socket: Socket, remote: VisitorInfo['remote']): void {
    if (!this.#serving) return resetSocket(socket);
    const local = {
      address: this.#channel?.relayAddress ?? '',
      port: this.#held.publicPort ?? this.#channel?.welcome.publicPort ?? 0,
    };
    this.#serving.ready.then(
      (serving) => serving.visit(socket, { remote, local }),
      () => resetSocket(socket),
    );
  }

  /** Applies new settings in place, without dropping a visitor. */
  update(spec: ServiceSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    this.#log = this.#options.log.child({ service: spec.service });
    this.#prover.log = this.#log;
    this.#gates.update(spec);
    this.#served?.update(spec);
    if (!this.#channel || this.#phase.now === 'failed') return;
    this.#held.update(this.#channel, before, spec, this.#log).then(
      (moved) => moved && this.#options.onPhase(this),
      (error: unknown) => this.#log.warn({ err: error }, 'the relay rejected the new settings'),
    );
  }

  /**
   * Stops accepting immediately, lets visitors finish within `drain`, and gives the lease back. A second call shortens the
   * drain.
   */
  async close(drain: Drain): Promise<void> {
    if (this.#closing) await this.#served?.close(drain);
    else this.#closing = this.#close(drain);
    await this.#closing;
  }

  status(): LeaseStatus {
    const traffic = this.#served?.traffic() ?? NO_TRAFFIC;
    const refused = this.#rejections.counts();
    const gates = gatesOf(this.#spec.access);
    const { provenAt } = this.#prover.proof;
    const { unproven } = this;
    return {
      service: this.#spec.service,
      relay: this.relay,
      ...this.#phase.status(),
      ...(this.id !== undefined && { lease: this.id }),
      ...this.address,
      ...this.otherPort,
      ...(provenAt && { provenAt: provenAt.toISOString() }),
      ...(unproven && { unproven }),
      ...traffic,
      ...(gates && { gates }),
      ...(refused && { refused }),
      ...unservedOf(this.#unserved.counts()),
      ...(this.#replicas &&
        this.#spec.replicas &&
        this.#phase.now === 'ready' && { replicas: this.#replicas }),
      ...this.#certificateStatus(),
      mode: this.#spec.mode,
      servedAs: this.servedAs,
      target: formatTarget(this.#spec.target),
      ...routesOf(this.#spec),
    };
  }

  /** Why the lease is ready without a recent successful visit. Undefined if it is proven or not ready. */
  get unproven(): Unproven | undefined {
    return this.#phase.now === 'ready' ? this.#prover.proof.unproven : undefined;
  }

  /** What visitors are served as. Undecided also while nothing serves the lease. */
  get servedAs(): ServedAs {
    const { mode } = this.#spec;
    return this.#served?.servedAs() ?? (mode === 'auto' ? 'undecided' : mode);
  }

  get error(): ErrorSummary | undefined {
    return this.#phase.error;
  }

  /** Time until the next attempt. Undefined if it is not known. */
  get nextInMs(): number | undefined {
    return this.#phase.nextInMs;
  }

  #certificateStatus(): Pick<LeaseStatus, 'certificate'> {
    const { notAfter, nextAt, error } = this.#served?.renewal?.() ?? {};
    if (notAfter === undefined && error === undefined) return {};
    return {
      certificate: {
        ...(notAfter !== undefined && { notAfter }),
        ...(nextAt !== undefined && { nextAt }),
        ...(error && { error: summaryOf(error) }),
      },
    };
  }

  get #channel(): ControlChannel | undefined {
    return this.#session?.channel;
  }

  async #open(session: OpenSession, opening: Limit, signal: AbortSignal): Promise<void> {
    const { channel } = session;
    this.#checkOffer(channel);
    if (this.#spec.replicas && !offersReplicas(channel)) this.#options.onWithoutReplicas?.(this);
    const { address } = this;
    const serving = await opening(async () =>
      this.#serve(await this.#held.ask(channel, this.#spec, this.#log, signal)),
    );
    // Outside the limit, because a lease that waits for a CA must not keep others from opening.
    await serving.prepare?.(signal);
    this.#isPrepared = true;
    this.#tellHealth();
    const visit = this.#visitOf(serving, session, signal);
    await this.#prover.first(visit);
    // Its session moved to another machine of the relay, with other public ports.
    const moved = this.#phase.now === 'ready' && !isDeepStrictEqual(this.address, address);
    this.#phase.set('ready');
    if (moved) this.#options.onPhase(this);
    this.#prover.visitPeriodically(visit, signal);
  }

  /** Throws before requesting anything that the relay does not offer. */
  #checkOffer({ welcome, via }: ControlChannel): void {
    const missing = missingFor(this.#spec, welcome, via?.hides);
    if (missing.length > 0)
      throw new PortalError('capability_missing', `${this.relay} does not offer ${missing.join(', ')}`, {
        hint: hintFor(missing),
      });
  }

  /** A visit to the public address, as a visitor makes it. */
  #visitOf(serving: Serving, { channel, datagrams, tunnel }: OpenSession, signal: AbortSignal): Visit {
    const { relayAddress, welcome, via } = channel;
    const prove = (): Promise<void | 'unproven'> =>
      serving.prove({
        address: this.#held.publicHost ?? relayAddress,
        port: this.#held.publicPort ?? welcome.publicPort,
        lease: this.id ?? '',
        datagrams,
        // A visitor's ClientHello names the host, so it must not pass other relays in the clear.
        via: via?.hides ? tunnel : via,
        signal,
      });
    if (!this.#spec.replicas || kindOf(this.#spec.mode) === 'tls') return prove;
    // A visit to a port has no TLS that another replica could prove, so it must arrive here.
    if (via?.hides) return () => Promise.resolve('unproven');
    return () => this.#whileProbing(channel, prove);
  }

  async #whileProbing<T>(channel: ControlChannel, visit: () => Promise<T>): Promise<T> {
    const tell = (state: ReplicaState): Promise<void> => this.#held.tell(channel, this.#spec, state);
    await tell({ probing: true });
    try {
      return await visit();
    } finally {
      await tell({ probing: false }).catch(() => undefined);
    }
  }

  /** Visitors go to other replicas while this one cannot serve them. */
  #tellHealth(): void {
    const healthy = this.#isPrepared && this.#isTargetUp;
    const [channel, isNews] = [this.#channel, healthy !== this.#held.healthy];
    this.#held.healthy = healthy;
    if (!channel || !isNews) return;
    this.#held.tell(channel, this.#spec, { healthy }).catch((error: unknown) => {
      this.#log.debug({ err: error }, 'could not report the health of the replica');
    });
  }

  /** Visitors no longer reach a ready lease: it is opened again, or closed permanently. */
  #lost(failure: PortalError): void {
    if (failure.code === 'intercepted') void this.#failedAttempt(failure, this.#attachment.signal);
    else this.#comeBack(failure);
  }

  #comeBack(failure: PortalError): void {
    const [session, opening] = [this.#session, this.#opening];
    this.detach(failure);
    if (session && opening) this.attach(session, opening);
  }

  #rest(): void {
    this.#isReplaced = true;
    this.#attachment.abort();
    this.#prover.stop();
    if (!this.#closing) this.#phase.set('draining');
  }

  async #serve(opened: Opened): Promise<Serving> {
    const { hostname } = opened;
    if (this.#serving?.hostname === hostname) {
      const present = await this.#serving.ready.catch(() => undefined);
      if (present) return present;
    }
    const former = this.#served;
    const spec = this.#spec;
    const ready = openServing({
      spec,
      opened,
      certificates: this.#options.certificates,
      targets: this.#options.targets,
      gates: this.#gates,
      sessionKey: this.#options.sessionKey,
      recorders: this.#options.recorders,
      accessLog: this.#options.accessLog,
      held: this.#options.held,
      onNameRejected: (rejection) => this.#options.onNameRejected?.(this, rejection),
      // Ignored before it serves. The decision until then is reported below.
      onServedAs: () => this.#served && this.#options.onServedAs(this),
      onReached: (target, failure) => this.#options.onReached(this, target, failure),
      signal: this.#ending.signal,
      log: this.#log,
    });
    this.#serving = { hostname, ready };
    const served = await ready;
    if (this.#ending.signal.aborted) await served.close({ ms: 0 });
    this.#served = served;
    // Another lease may already have detected the target's protocol.
    if (servedMode(spec) === 'auto' && served.servedAs() !== 'undecided') this.#options.onServedAs(this);
    // The settings changed while the certificate was prepared.
    if (spec !== this.#spec) served.update(this.#spec);
    void former?.close({ ms: 0 });
    return served;
  }

  async #close(drain: Drain): Promise<void> {
    this.#attachment.abort();
    this.#ending.abort();
    this.#prover.stop();
    this.#phase.set('draining');
    const [session, id] = [this.#session, this.id];
    if (!this.#takenOverBy) await this.#held.release(session?.channel, this.#log);
    // The data connections of visitors that the relay announced before may still be on their way.
    const isArriving = (): boolean => id !== undefined && session?.isArriving(id) === true;
    await until(() => !isArriving(), Math.min(drain.ms, ARRIVING_MS));
    await this.#served?.close(drain);
    this.#phase.set('closed');
  }

  /** Reports the failure, and waits as long as it requires before the next attempt. */
  async #failedAttempt(failure: PortalError, signal: AbortSignal): Promise<void> {
    // For example, a visit in progress may have met the certificate of the lease that took over.
    if (signal.aborted || this.#takenOverBy?.id !== undefined) return;
    if (!isFinal(failure)) {
      this.#phase.set('retrying', failure, failure.retryAfterMs);
      if (failure.retryAfterMs !== undefined) await delay(spread(failure.retryAfterMs), signal);
      return;
    }
    this.#phase.set('failed', failure);
    // A lease that failed after it was opened must not get more visitors.
    const served = this.#served;
    if (failure.code === 'intercepted') {
      // Others also read the traffic of connected visitors.
      this.#serving = this.#served = undefined;
      void served?.close({ ms: 0 });
    }
    await this.#held.release(this.#channel, this.#log);
    this.#held.forget();
    if (failure.code !== 'intercepted') await delay(FINAL_RETRY_MS, signal);
  }
}

function unservedOf(counts: Partial<Record<string, number>>): Pick<LeaseStatus, 'visitorsUnserved'> {
  return Object.keys(counts).length === 0 ? {} : { visitorsUnserved: counts as Record<string, number> };
}

function routesOf({ routes }: ServiceSpec): Pick<LeaseStatus, 'routes'> {
  if (routes.length === 0) return {};
  return { routes: Object.fromEntries(routes.map(({ prefix, target }) => [prefix, formatTarget(target)])) };
}
