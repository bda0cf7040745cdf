import type { Socket } from 'node:net';
import type { LimitFunction as Limit } from 'p-limit';
import pRetry from 'p-retry';
import { asPortalError, PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { Tally } from '../lib/tally.js';
import { delay } from '../lib/wait.js';
import type { Drain } from '../net/splice.js';
import { formatTarget, type Target } from '../net/target.js';
import type { CertificateSources } from '../certificates/live.js';
import { Refusals, type RefusalReason } from './access/refusals.js';
import type { NameRejection } from './rejected-name.js';
import { missingFor } from './capabilities.js';
import type { ControlChannel } from './control.js';
import type { Recorders } from './inspect/recorder.js';
import type { KnownTargets } from './known-targets.js';
import { HeldLease, type Opened } from './held-lease.js';
import { NO_TRAFFIC, type VisitorInfo } from './modes/mode.js';
import { PhaseRecord, summaryOf } from './phase.js';
import type { ProbePace } from './probe-pace.js';
import { Prover, type Visit } from './prover.js';
import { FINAL_RETRY_MS, isFinal, RETRY } from './retry.js';
import { openServing, type Serving } from './serving/serving.js';
import { servedMode, type ServedAs, type ServiceSpec } from './spec.js';
import type { ErrorSummary, LeaseStatus, Phase, PublicAddress, Unproven } from './status.js';

export interface LeaseOptions {
  readonly spec: ServiceSpec;
  /** The relay's key, as events and status name it. */
  readonly relay: string;
  /** Where `tls: local` and `tls: acme` come from. */
  readonly certificates: CertificateSources;
  /** What the agent knows of targets: shared by all of its leases. */
  readonly targets: KnownTargets;
  /** Signs the sessions of visitors who knew the PIN; the same after a restart. */
  readonly sessionKey: Buffer;
  /** Where requests of services that are inspected are recorded; left out, none are. */
  readonly recorders?: Recorders | undefined;
  /** How many visits of an agent's own are under way at a time. */
  readonly pace: ProbePace;
  /** How often a lease that is ready is proven anew, on average. */
  readonly proveEveryMs: number;
  /** Called for visitors who do not pass a gate, once a while for each address. */
  readonly onRefused: (lease: AgentLease, reason: RefusalReason, address: string) => void;
  /** Called when the target answers that it does not know the name that visitors ask for. */
  readonly onNameRejected?: (lease: AgentLease, rejection: NameRejection) => void;
  /** Called when the relay gave up on visitors: sums, once a second at most. */
  readonly onUnserved: (lease: AgentLease, reason: string, count: number) => void;
  /** Called when visitors are served as something else, because of what the target speaks. */
  readonly onServedAs: (lease: AgentLease) => void;
  /** Called for each connection to a target, with what made it fail. */
  readonly onReached: (lease: AgentLease, target: Target, failure?: PortalError) => void;
  /** Called after every change of phase. */
  readonly onPhase: (lease: AgentLease) => void;
  readonly log: Logger;
}

/** The lease that takes over another's place; it has an id from the moment on that it holds it. */
export type Heir = Pick<AgentLease, 'id'>;

/** A service's lease on one relay, from the agent's side: its phase is the truth that `status` tells. */
export class AgentLease {
  #spec: ServiceSpec;
  readonly #options: LeaseOptions;
  #log: Logger;
  readonly #phase: PhaseRecord;
  readonly #prover: Prover;
  /** Visitors on whom the relay gave up, by reason. */
  readonly #unserved = new Tally<string>();
  #channel: ControlChannel | undefined;
  #opening: Limit | undefined;
  readonly #held = new HeldLease();
  readonly #refusals: Refusals;
  /** What serves the lease, and for which hostname; kept over reconnects, so that visitors and counters live on. */
  #serving: { hostname: string; ready: Promise<Serving> } | undefined;
  #served: Serving | undefined;
  #heir: Heir | undefined;
  /** The heir has its place. */
  #isResting = false;
  /** Aborts what is under way for the present channel. */
  #attachment = new AbortController();
  /** Aborts what is under way for the lease as such: it is being closed. */
  readonly #over = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#spec = options.spec;
    this.#log = options.log.child({ service: options.spec.service });
    this.#refusals = new Refusals((reason, address) => options.onRefused(this, reason, address));
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

  /** What the relay gave: a URL, or a public port. */
  get address(): PublicAddress {
    return this.#held.address;
  }

  /** The public port that was asked for, where the relay had to give another. */
  get askedPort(): number | undefined {
    const [asked, given] = [this.#spec.port, this.#held.publicPort];
    return given === undefined || asked === given ? undefined : asked;
  }

  /** The relay's id of the lease, while it is open. */
  get id(): string | undefined {
    return this.#held.id;
  }

  /** It takes visitors only if they were on their way already. */
  get isLeaving(): boolean {
    return this.#isResting || this.#closing !== undefined;
  }

  /**
   * The session stands: open the lease there, and prove that visitors get through. `opening` bounds how many
   * leases of the session do so at a time. Where the session `moves`, visitors are served all the while.
   */
  attach(channel: ControlChannel, opening: Limit, { moves = false } = {}): void {
    if (this.#closing) return;
    this.#opening = opening;
    this.#attachment.abort();
    this.#attachment = new AbortController();
    this.#channel = channel;
    // It would take the place back from the lease that has it now.
    if (this.#heir?.id !== undefined) return this.#rest();
    this.#isResting = false;
    const { signal } = this.#attachment;
    if (!moves || this.#phase.now !== 'ready') this.#phase.set('opening');
    pRetry(() => this.#open(channel, opening, signal), {
      ...RETRY,
      retries: Infinity,
      signal,
      shouldRetry: ({ error }) => asPortalError(error).code !== 'intercepted',
      onFailedAttempt: ({ error }) => this.#failedAttempt(asPortalError(error), signal),
    }).catch((error: unknown) => {
      if (!signal.aborted) this.#phase.set('failed', asPortalError(error));
    });
  }

  /** The session is lost, or was never reached; visitors who are connected keep their bytes. */
  detach(error: PortalError): void {
    this.#attachment.abort();
    this.#channel = undefined;
    if (this.#closing) return;
    this.#phase.countRetry();
    this.#phase.set(isFinal(error) ? 'failed' : 'retrying', error);
  }

  /**
   * Another lease of ours has the same place at the same relay, reached another way, or is about to: once the relay
   * has handed it over, this one only lets its visitors finish. Undefined: there is none any more.
   */
  yieldTo(heir: Heir | undefined): void {
    this.#heir = heir;
    const [channel, opening] = [this.#channel, this.#opening];
    if (!heir && this.#isResting && channel && opening) this.attach(channel, opening);
  }

  /** The relay took the lease away: ask for it again, unless it is where it should be. */
  revoked(reason: string): void {
    if (this.#heir) this.#rest();
    else this.#comeBack(new PortalError('not_found', reason));
  }

  /** The relay gave up on `count` of its visitors. */
  unserved(reason: string, count: number): void {
    this.#unserved.add(reason, count);
    this.#log.warn({ reason, count }, 'the relay gave up on visitors');
    this.#options.onUnserved(this, reason, count);
  }

  /** Proves now that visitors get through, whatever the schedule says; `status` tells what came of it. */
  async proveNow(): Promise<void> {
    const [channel, serving] = [this.#channel, this.#served];
    const { signal } = this.#attachment;
    if (channel && serving && this.#phase.now === 'ready')
      await this.#prover.again(this.#visitOf(serving, channel, signal), signal);
  }

  /** A visitor arrived on a data connection. */
  visit(socket: Socket, remote: VisitorInfo['remote']): void {
    if (!this.#serving) return void socket.destroy();
    const local = {
      address: this.#channel?.relayAddress ?? '',
      port: this.#held.publicPort ?? this.#channel?.welcome.publicPort ?? 0,
    };
    this.#serving.ready.then(
      (serving) => serving.visit(socket, { remote, local }),
      () => socket.destroy(),
    );
  }

  /** New settings in place: not one visitor is dropped for it. */
  update(spec: ServiceSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    this.#log = this.#options.log.child({ service: spec.service });
    this.#prover.log = this.#log;
    this.#served?.update(spec);
    if (!this.#channel || this.#phase.now === 'failed') return;
    this.#held.update(this.#channel, before, spec, this.#log).then(
      (moved) => moved && this.#options.onPhase(this),
      (error: unknown) => this.#log.warn({ err: error }, 'the relay did not take the new settings'),
    );
  }

  /**
   * Stops accepting at once, lets visitors finish within `drain`, gives the lease back. Called again, it
   * shortens the drain.
   */
  async close(drain: Drain): Promise<void> {
    if (this.#closing) await this.#served?.close(drain);
    else this.#closing = this.#close(drain);
    await this.#closing;
  }

  status(): LeaseStatus {
    const traffic = this.#served?.traffic() ?? NO_TRAFFIC;
    const refused = this.#refusals.counts();
    const { provenAt } = this.#prover.proof;
    const { unproven } = this;
    return {
      service: this.#spec.service,
      relay: this.relay,
      ...this.#phase.status(),
      ...(this.id !== undefined && { lease: this.id }),
      ...this.address,
      ...(this.askedPort !== undefined && { askedPort: this.askedPort }),
      ...(provenAt && { provenAt: provenAt.toISOString() }),
      ...(unproven && { unproven }),
      ...traffic,
      ...(refused && { refused }),
      ...unservedOf(this.#unserved.counts()),
      ...this.#certificateStatus(),
      mode: this.#spec.mode,
      servedAs: this.servedAs,
      target: formatTarget(this.#spec.target),
      ...routesOf(this.#spec),
    };
  }

  /** Why it is ready without a visit of ours that came through lately; undefined where one did, or it is not ready. */
  get unproven(): Unproven | undefined {
    return this.#phase.now === 'ready' ? this.#prover.proof.unproven : undefined;
  }

  /** What visitors are served as; undecided too while nothing serves the lease. */
  get servedAs(): ServedAs {
    const { mode } = this.#spec;
    return this.#served?.servedAs() ?? (mode === 'auto' ? 'undecided' : mode);
  }

  get error(): ErrorSummary | undefined {
    return this.#phase.error;
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

  async #open(channel: ControlChannel, opening: Limit, signal: AbortSignal): Promise<void> {
    this.#checkOffer(channel);
    const serving = await opening(async () =>
      this.#serve(await this.#held.ask(channel, this.#spec, this.#log, signal)),
    );
    // Not within the limit: one that waits for a CA must not keep others from opening.
    await serving.prepare?.(signal);
    const visit = this.#visitOf(serving, channel, signal);
    await this.#prover.first(visit);
    this.#phase.set('ready');
    this.#prover.keepOn(visit, signal);
  }

  /** What the relay does not offer it need not be asked for. */
  #checkOffer({ welcome, detour }: ControlChannel): void {
    const missing = missingFor(this.#spec, welcome, detour?.hides);
    if (missing.length > 0)
      throw new PortalError('capability_missing', `${this.relay} does not offer ${missing.join(', ')}`);
  }

  /** A visit to the public address, as anybody would make it. */
  #visitOf(serving: Serving, channel: ControlChannel, signal: AbortSignal): Visit {
    const { relayAddress, welcome, detour, tunnel } = channel;
    return () =>
      serving.prove({
        address: relayAddress,
        port: this.#held.publicPort ?? welcome.publicPort,
        lease: this.id ?? '',
        datagrams: channel.datagrams,
        // A visitor's hello names the host: it must not pass other relays in the clear.
        detour: detour?.hides ? tunnel : detour,
        signal,
      });
  }

  /** Visitors do not reach a lease that was ready: it is opened anew, or closed for good. */
  #lost(failure: PortalError): void {
    if (failure.code === 'intercepted') void this.#failedAttempt(failure, this.#attachment.signal);
    else this.#comeBack(failure);
  }

  #comeBack(failure: PortalError): void {
    const [channel, opening] = [this.#channel, this.#opening];
    this.detach(failure);
    if (channel && opening) this.attach(channel, opening);
  }

  #rest(): void {
    this.#isResting = true;
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
      refusals: this.#refusals,
      sessionKey: this.#options.sessionKey,
      recorders: this.#options.recorders,
      onNameRejected: (rejection) => this.#options.onNameRejected?.(this, rejection),
      // Before it serves it has nothing to say; below it is told what was decided until then.
      onServedAs: () => this.#served && this.#options.onServedAs(this),
      onReached: (target, failure) => this.#options.onReached(this, target, failure),
      signal: this.#over.signal,
      log: this.#log,
    });
    this.#serving = { hostname, ready };
    const served = await ready;
    if (this.#over.signal.aborted) await served.close({ ms: 0 });
    this.#served = served;
    // Another lease may have found out before what the target speaks.
    if (servedMode(spec) === 'auto' && served.servedAs() !== 'undecided') this.#options.onServedAs(this);
    // Changed while its certificate was being made.
    if (spec !== this.#spec) served.update(this.#spec);
    void former?.close({ ms: 0 });
    return served;
  }

  async #close(drain: Drain): Promise<void> {
    this.#attachment.abort();
    this.#over.abort();
    this.#prover.stop();
    this.#phase.set('draining');
    if (!this.#heir) await this.#held.giveBack(this.#channel, this.#log);
    await this.#served?.close(drain);
    this.#phase.set('closed');
  }

  /** Tells of it, and waits as long as it asks for before the next attempt. */
  async #failedAttempt(failure: PortalError, signal: AbortSignal): Promise<void> {
    // A visit of our own that was under way has met the heir's certificate, say.
    if (signal.aborted || this.#heir?.id !== undefined) return;
    if (!isFinal(failure)) {
      this.#phase.set('retrying', failure);
      if (failure.retryAfterMs !== undefined) await delay(failure.retryAfterMs, signal);
      return;
    }
    this.#phase.set('failed', failure);
    // Not one visitor more is to be sent to a lease that failed after it was opened.
    const served = this.#served;
    if (failure.code === 'intercepted') {
      // Those who are connected are read along, too.
      this.#serving = this.#served = undefined;
      void served?.close({ ms: 0 });
    }
    await this.#held.giveBack(this.#channel, this.#log);
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
