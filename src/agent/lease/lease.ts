import { isDeepStrictEqual } from 'node:util';
import type { Socket } from 'node:net';
import type { LimitFunction as Limit } from 'p-limit';
import pRetry from 'p-retry';
import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { delay, until } from '../../lib/wait.js';
import type { Drain } from '../../net/splice/splice.js';
import { requiredAlpn } from '../access/kinds.js';
import { checkOffer } from '../capabilities.js';
import type { VisitorInfo } from '../modes/mode.js';
import type { Visit } from '../proof/prover.js';
import type { Serving } from '../serving/serving.js';
import type { ControlChannel } from '../session/control.js';
import type { OpenSession } from '../session/open-session.js';
import { FINAL_RETRY_MS, isFinal, RETRY, spread } from '../session/retry.js';
import type { ServedAs, ServiceSpec } from '../spec.js';
import type { ErrorSummary, LeaseStatus, Phase, PublicAddress, ReplicasStatus, Unproven } from '../status.js';
import { leaseStatus, otherPortOf, servedAsOf, unprovenOf } from './lease-status.js';
import type { LeaseOptions } from './options.js';
import { ownVisit } from './own-visit.js';
import { makeParts, type LeaseParts } from './parts.js';
import { offersReplicas } from './replica.js';

/** How long a closing lease waits for visitors that were announced. A lost packet on a slow path takes more than a second. */
const ARRIVING_MS = 3_000;

/** The lease that takes over another's place. It has an id once it holds the place. */
export type NextLease = Pick<AgentLease, 'id'>;

/** The agent's side of a service's lease on one relay. Its phase is what `status` shows. */
export class AgentLease {
  #spec: ServiceSpec;
  readonly #options: LeaseOptions;
  #log: Logger;
  readonly #parts: LeaseParts;
  #session: OpenSession | undefined;
  #opening: Limit | undefined;
  #takenOverBy: NextLease | undefined;
  /** Another lease has taken over the place. */
  #isReplaced = false;
  /** Aborts the work for the current channel. */
  #attachment = new AbortController();
  #closing: Promise<void> | undefined;
  /** Whether no other visitor comes, and those that are here finish. */
  #drains = false;
  /** The latest limit of the drain, and when (`performance.now()`) it ends. */
  #drain: Drain = { ms: 0 };
  #drainEndsAt = Infinity;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#spec = options.spec;
    this.#log = options.log.child({ service: options.spec.service });
    this.#parts = makeParts(options, {
      lease: this,
      now: () => ({ spec: this.#spec, channel: this.#channel, log: this.#log }),
      onLost: (failure) => this.#lost(failure),
    });
  }

  get relay(): string {
    return this.#options.relay;
  }

  get spec(): ServiceSpec {
    return this.#spec;
  }

  get phase(): Phase {
    return this.#parts.phase.now;
  }

  /** The public address from the relay: a URL or a port. */
  get address(): PublicAddress {
    return this.#parts.held.address;
  }

  /** The requested port that the relay did not assign, and the ports that it offers. Empty if it assigned that port. */
  get otherPort(): Pick<LeaseStatus, 'askedPort' | 'portRange'> {
    return otherPortOf(this.#spec, this.#parts);
  }

  /** The relay's id of the lease, while it is open. */
  get id(): string | undefined {
    return this.#parts.held.id;
  }

  /** Where visitors reach it, in modes with a hostname. */
  get hostname(): string | undefined {
    return this.#parts.serving.hostname;
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
    if (!moves) this.#parts.replica.forget();
    const { signal } = this.#attachment;
    if (!moves || this.#parts.phase.now !== 'ready') this.#parts.phase.set('opening');
    pRetry(() => this.#open(session, opening, signal), {
      ...RETRY,
      retries: Infinity,
      signal,
      // A pause that the relay requested replaces ours.
      shouldConsumeRetry: ({ error }) => asPortalError(error).retryAfterMs === undefined,
      shouldRetry: ({ error }) => asPortalError(error).code !== 'intercepted',
      onFailedAttempt: ({ error }) => this.#failedAttempt(asPortalError(error), signal),
    }).catch((error: unknown) => {
      if (!signal.aborted) this.#parts.phase.set('failed', asPortalError(error));
    });
  }

  /** The session was lost or never connected. Connected visitors are not affected. */
  detach(error: PortalError): void {
    this.#attachment.abort();
    this.#session = undefined;
    if (this.#closing) return;
    this.#parts.phase.countRetry();
    this.#parts.phase.set(isFinal(error) ? 'failed' : 'retrying', error);
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
    this.#parts.unserved.add(reason, count);
    this.#log.warn({ reason, count }, 'the relay could not serve visitors');
    this.#options.onUnserved(this, reason, count);
  }

  /** The relay told which agents serve the name. */
  sharesWith(replicas: ReplicasStatus): void {
    this.#parts.replica.sharesWith(replicas);
  }

  /** Whether the local services respond. */
  set targetUp(isUp: boolean) {
    this.#parts.replica.targetUp = isUp;
  }

  /** Tells the relay whether a CA validates the hostname here. Waits until the relay agrees. */
  async validates(isValidating: boolean): Promise<void> {
    await this.#parts.replica.validates(isValidating, this.#attachment.signal);
  }

  /** Proves now that visitors get through, independent of the schedule. `status` shows the result. */
  async proveNow(): Promise<void> {
    const [session, serving] = [this.#session, this.#parts.serving.now];
    const { signal } = this.#attachment;
    if (session && serving && this.#parts.phase.now === 'ready')
      await this.#parts.prover.again(this.#visitOf(serving, session, signal), signal);
  }

  /** Disconnects visitors whose share links were revoked. */
  sharesRevoked(): void {
    this.#parts.gates.sharesRevoked();
  }

  /** A visitor arrived on a data connection. */
  visit(socket: Socket, remote: VisitorInfo['remote']): void {
    const local = {
      address: this.#channel?.relayAddress ?? '',
      port: this.#parts.held.publicPort ?? this.#channel?.welcome.publicPort ?? 0,
    };
    this.#parts.serving.visit(socket, { remote, local });
  }

  /** Applies new settings in place, without dropping a visitor. */
  update(spec: ServiceSpec): void {
    const [before, published] = [this.#spec, this.#published];
    this.#spec = spec;
    this.#log = this.#options.log.child({ service: spec.service });
    this.#parts.prover.log = this.#log;
    this.#parts.gates.update(spec);
    this.#parts.serving.now?.update(spec);
    const channel = this.#channel;
    if (!channel || this.#parts.phase.now === 'failed') return;
    this.#parts.held.update(channel, before, spec, this.#log).then(
      () => isDeepStrictEqual(this.#published, published) || this.#options.onPhase(this),
      (error: unknown) => this.#notUpdated(channel, asPortalError(error)),
    );
  }

  /**
   * Gives the lease back, and lets visitors finish within `drain`: those that are here, and those that had connected to the relay.
   * A second call shortens the drain.
   */
  async close(drain: Drain): Promise<void> {
    this.#drain = drain;
    this.#drainEndsAt = Math.min(this.#drainEndsAt, performance.now() + drain.ms);
    if (this.#drains) await this.#parts.serving.close(drain);
    this.#closing ??= this.#close();
    await this.#closing;
  }

  status(): LeaseStatus {
    const { privateOf } = this;
    return {
      ...leaseStatus(this.#spec, this.relay, this.#parts),
      ...(privateOf !== undefined && { privateOf }),
    };
  }

  /** The address of the identity that visitors expect of a private service. Undefined of other services. */
  get privateOf(): string | undefined {
    return requiredAlpn(this.#spec.access) === undefined ? undefined : this.#options.identity.address;
  }

  /** Why the lease is ready without a recent successful visit. Undefined if it is proven or not ready. */
  get unproven(): Unproven | undefined {
    return unprovenOf(this.#parts);
  }

  /** What visitors are served as. Undecided also while nothing serves the lease. */
  get servedAs(): ServedAs {
    return servedAsOf(this.#spec, this.#parts);
  }

  get error(): ErrorSummary | undefined {
    return this.#parts.phase.error;
  }

  /** Time until the next attempt. Undefined if it is not known. */
  get nextInMs(): number | undefined {
    return this.#parts.phase.nextInMs;
  }

  get #channel(): ControlChannel | undefined {
    return this.#session?.channel;
  }

  async #open(session: OpenSession, opening: Limit, signal: AbortSignal): Promise<void> {
    const { channel } = session;
    checkOffer(this.relay, this.#spec, channel);
    if (this.#spec.replicas && !offersReplicas(channel)) this.#options.onWithoutReplicas?.(this);
    const { address } = this;
    const serving = await opening(async () =>
      this.#parts.serving.open(await this.#parts.held.ask(channel, this.#spec, this.#log, signal)),
    );
    // Outside the limit, because a lease that waits for a CA must not keep others from opening.
    await serving.prepare?.(signal);
    this.#parts.replica.prepared();
    const visit = this.#visitOf(serving, session, signal);
    await this.#parts.prover.first(visit);
    // Its session moved to another machine of the relay, with other public ports.
    const moved = this.#parts.phase.now === 'ready' && !isDeepStrictEqual(this.address, address);
    this.#parts.phase.set('ready');
    if (moved) this.#options.onPhase(this);
    this.#parts.prover.visitPeriodically(visit, signal);
  }

  #visitOf(serving: Serving, session: OpenSession, signal: AbortSignal): Visit {
    const { held, replica } = this.#parts;
    return ownVisit({ spec: this.#spec, serving, session, held, replica, signal });
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

  /** The relay serves the previous settings. Opening the lease again sends the latest. */
  #notUpdated(channel: ControlChannel, failure: PortalError): void {
    this.#log.warn({ code: failure.code, reason: failure.message }, 'the relay rejected the new settings');
    if (channel === this.#channel && !channel.closed && !this.isEnding) this.#comeBack(failure);
  }

  /** What users see of its address. */
  get #published() {
    return { ...this.address, ...this.otherPort };
  }

  #rest(): void {
    this.#isReplaced = true;
    this.#attachment.abort();
    this.#parts.prover.stop();
    if (!this.#closing) this.#parts.phase.set('draining');
  }

  /** What is left of the drain, in milliseconds. */
  get #drainMs(): number {
    return Math.max(0, this.#drainEndsAt - performance.now());
  }

  async #close(): Promise<void> {
    this.#attachment.abort();
    this.#parts.serving.end();
    this.#parts.prover.stop();
    this.#parts.phase.set('draining');
    const [session, id] = [this.#session, this.id];
    if (!this.#takenOverBy) await this.#parts.held.release(session?.channel, this.#log, this.#drainMs);
    // The data connections of visitors that the relay announced before may still be on their way.
    const isArriving = (): boolean => id !== undefined && session?.isArriving(id) === true;
    await until(() => !isArriving(), Math.min(this.#drainMs, ARRIVING_MS));
    this.#drains = true;
    await this.#parts.serving.close({ ...this.#drain, ms: this.#drainMs });
    this.#parts.phase.set('closed');
  }

  /** Reports the failure, and waits as long as it requires before the next attempt. */
  async #failedAttempt(failure: PortalError, signal: AbortSignal): Promise<void> {
    // For example, a visit in progress may have met the certificate of the lease that took over.
    if (signal.aborted || this.#takenOverBy?.id !== undefined) return;
    if (!isFinal(failure)) {
      this.#parts.phase.set('retrying', failure, failure.retryAfterMs);
      if (failure.retryAfterMs !== undefined) await delay(spread(failure.retryAfterMs), signal);
      return;
    }
    this.#parts.phase.set('failed', failure);
    // Others also read the traffic of connected visitors.
    if (failure.code === 'intercepted') this.#parts.serving.drop();
    // A lease that failed after it was opened must not get more visitors.
    await this.#parts.held.release(this.#channel, this.#log);
    this.#parts.held.forget();
    if (failure.code !== 'intercepted') await delay(FINAL_RETRY_MS, signal);
  }
}
