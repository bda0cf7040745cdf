import type { Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import pLimit, { type LimitFunction as Limit } from 'p-limit';
import pRetry from 'p-retry';
import { asPortalError, PortalError, type ErrorCode } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { delay } from '../lib/wait.js';
import type { Drain } from '../net/splice.js';
import { formatTarget } from '../net/target.js';
import type { FromRelay } from '../protocol/messages.js';
import type { LocalCertificates } from '../certificates/source.js';
import type { ControlChannel } from './control.js';
import { NO_TRAFFIC, type VisitorInfo } from './modes/mode.js';
import { openServing, type Serving } from './serving/serving.js';
import { kindOf, targetsOf, type ServiceSpec } from './spec.js';
import type { ErrorSummary, LeaseStatus, Phase, PublicAddress } from './status.js';
import { connectTarget } from './upstream.js';

/** Trying again changes nothing until someone acts: a person, here or elsewhere. Looked at again only now and then. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'name_taken',
  'name_reserved',
  'name_invalid',
  'capability_missing',
  'limit_exceeded',
  'certificate_unavailable',
  'intercepted',
  'version',
  'unauthorized',
  'relay_untrusted',
  'address_in_use',
  'listen_failed',
]);

const RETRY = { minTimeout: 250, maxTimeout: 10_000, factor: 2, randomize: true } as const;

const FINAL_RETRY_MS = 60_000;
/** A relay that does not confirm a close within this is left to find out by itself. */
const CLOSE_MS = 2_000;

/** Local services that `status` looks at at a time. */
const checking = pLimit(64);

export interface LeaseOptions {
  readonly spec: ServiceSpec;
  /** The relay's key, as events and status name it. */
  readonly relay: string;
  /** Where `tls: local` comes from. */
  readonly localCertificates: LocalCertificates;
  /** Called after every change of phase. */
  readonly onPhase: (lease: AgentLease) => void;
  readonly log: Logger;
}

/** A service's lease on one relay, from the agent's side: its phase is the truth that `status` tells. */
export class AgentLease {
  #spec: ServiceSpec;
  readonly #options: LeaseOptions;
  #log: Logger;
  #phase: Phase = 'connecting';
  #since = new Date();
  #error: PortalError | undefined;
  #retries = 0;
  #provenAt: Date | undefined;
  #targetError: string | undefined;
  #channel: ControlChannel | undefined;
  #opening: Limit | undefined;
  #opened: FromRelay<'lease.opened'> | undefined;
  /** The lease's own public port, in the modes that have one; the last one it had, while it has none. */
  #publicPort: number | undefined;
  /** What serves the lease, and for which hostname; kept over reconnects, so that visitors and counters live on. */
  #serving: { hostname: string; ready: Promise<Serving> } | undefined;
  #served: Serving | undefined;
  /** Aborts what is under way for the present channel. */
  #attachment = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#spec = options.spec;
    this.#log = options.log.child({ service: options.spec.service });
  }

  get relay(): string {
    return this.#options.relay;
  }

  get spec(): ServiceSpec {
    return this.#spec;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** What the relay gave: a URL, or a public port. */
  get address(): PublicAddress {
    if (!this.#opened) return {};
    const { url, tcpAddr, udpAddr } = this.#opened;
    return {
      ...(url !== undefined && { url }),
      ...(tcpAddr !== undefined && { tcpAddr }),
      ...(udpAddr !== undefined && { udpAddr }),
    };
  }

  /** The relay's id of the lease, while it is open. */
  get id(): string | undefined {
    return this.#opened?.lease;
  }

  /**
   * The session stands: open the lease there, and prove that visitors get through. `opening` bounds how many
   * leases of the session do so at a time.
   */
  attach(channel: ControlChannel, opening: Limit): void {
    if (this.#closing) return;
    this.#opening = opening;
    this.#attachment.abort();
    this.#attachment = new AbortController();
    this.#channel = channel;
    const { signal } = this.#attachment;
    this.#setPhase('opening');
    pRetry(() => opening(() => this.#open(channel, signal)), {
      ...RETRY,
      retries: Infinity,
      signal,
      shouldRetry: ({ error }) => asPortalError(error).code !== 'intercepted',
      onFailedAttempt: ({ error }) => this.#failedAttempt(asPortalError(error), signal),
    }).catch((error: unknown) => {
      if (!signal.aborted) this.#setPhase('failed', asPortalError(error));
    });
  }

  /** The session is lost, or was never reached; visitors who are connected keep their bytes. */
  detach(error: PortalError): void {
    this.#attachment.abort();
    this.#channel = undefined;
    if (this.#closing) return;
    this.#retries++;
    this.#setPhase(isFinal(error) ? 'failed' : 'retrying', error);
  }

  /** The relay took the lease away: ask for it again. */
  revoked(reason: string): void {
    const [channel, opening] = [this.#channel, this.#opening];
    this.detach(new PortalError('not_found', reason));
    if (channel && opening) this.attach(channel, opening);
  }

  /** A visitor arrived on a data connection. */
  visit(socket: Socket, remote: VisitorInfo['remote']): void {
    if (!this.#serving) return void socket.destroy();
    const local = { address: this.#channel?.relayAddress ?? '', port: this.#publicPort ?? 0 };
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
    this.#served?.update(spec);
    const channel = this.#channel;
    if (!channel || !this.#opened || this.#phase === 'failed') return;
    void this.#tellRelay(channel, before).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'the relay did not take the new settings'),
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

  /** Looks whether the local service answers; `status` tells what was found. */
  async checkTarget(): Promise<void> {
    try {
      for (const target of targetsOf(this.#spec)) {
        const socket = await checking(() => connectTarget(target));
        socket.destroy();
      }
      this.#targetError = undefined;
    } catch (error) {
      this.#targetError = asPortalError(error).message;
    }
  }

  status(): LeaseStatus {
    const traffic = this.#served?.traffic() ?? NO_TRAFFIC;
    return {
      service: this.#spec.service,
      relay: this.relay,
      phase: this.#phase,
      since: this.#since.toISOString(),
      retries: this.#retries,
      ...(this.#opened && { lease: this.#opened.lease }),
      ...this.address,
      ...(this.#provenAt && { provenAt: this.#provenAt.toISOString() }),
      ...(this.#error && { error: this.error }),
      ...traffic,
      target: formatTarget(this.#spec.target),
      ...(this.#targetError === undefined ? {} : { targetError: this.#targetError }),
    };
  }

  get error(): ErrorSummary | undefined {
    if (!this.#error) return undefined;
    const { code, message, hint } = this.#error;
    return { code, message, ...(hint === undefined ? {} : { hint }) };
  }

  #openRequest() {
    const { name, mode, carrier, metadata, hostname, port = this.#publicPort } = this.#spec;
    return {
      type: 'lease.open',
      name,
      mode,
      // What such a lease carries is no TLS of the visitor's.
      carrier: kindOf(mode) === 'tcp' && carrier === 'raw' ? 'tls' : carrier,
      metadata: { ...metadata },
      ...(hostname !== undefined && { hostname }),
      // The port it had, unless another is wanted: whoever knows it finds the service there again.
      ...(kindOf(mode) !== 'tls' && port !== undefined && { port }),
    } as const;
  }

  async #open(channel: ControlChannel, signal: AbortSignal): Promise<void> {
    const opened = await this.#ask(channel, signal);
    const serving = await this.#serve(opened);
    await serving.prove({
      address: channel.relayAddress,
      port: this.#publicPort ?? channel.welcome.publicPort,
      signal,
    });
    this.#provenAt = new Date();
    this.#setPhase('ready');
  }

  async #ask(channel: ControlChannel, signal?: AbortSignal): Promise<FromRelay<'lease.opened'>> {
    const answer = await channel.request(this.#openRequest(), signal);
    if (answer.type !== 'lease.opened')
      throw new PortalError('protocol', `lease.open was answered with ${answer.type}`);
    this.#opened = answer;
    const { port } = this.#spec;
    const address = answer.tcpAddr ?? answer.udpAddr;
    this.#publicPort =
      address === undefined ? undefined : Number(address.slice(address.lastIndexOf(':') + 1));
    if (port !== undefined && this.#publicPort !== undefined && port !== this.#publicPort)
      this.#log.warn(
        { asked: port, given: this.#publicPort },
        'the relay gave another port than the one asked for',
      );
    return answer;
  }

  /** Tells the relay what of the new settings is its concern. */
  async #tellRelay(channel: ControlChannel, before: ServiceSpec): Promise<void> {
    const { carrier, port, mode, metadata } = this.#spec;
    if (carrier !== before.carrier || port !== before.port || mode !== before.mode) {
      // Opening a lease that is held already changes it in place.
      const address = JSON.stringify(this.address);
      await this.#ask(channel);
      if (JSON.stringify(this.address) !== address) this.#options.onPhase(this);
    } else if (!isDeepStrictEqual(metadata, before.metadata) && this.#opened) {
      await channel.request({ type: 'lease.update', lease: this.#opened.lease, metadata });
    }
  }

  async #serve(opened: FromRelay<'lease.opened'>): Promise<Serving> {
    const { hostname } = opened;
    if (this.#serving?.hostname === hostname) {
      const present = await this.#serving.ready.catch(() => undefined);
      if (present) return present;
    }
    const former = this.#served;
    const ready = openServing({
      spec: this.#spec,
      opened,
      localCertificates: this.#options.localCertificates,
      log: this.#log,
    });
    this.#serving = { hostname, ready };
    this.#served = await ready;
    void former?.close({ ms: 0 });
    return this.#served;
  }

  async #close(drain: Drain): Promise<void> {
    this.#attachment.abort();
    this.#setPhase('draining');
    await this.#giveBack();
    await this.#served?.close(drain);
    this.#setPhase('closed');
  }

  /** Tells of it, and waits as long as it asks for before the next attempt. */
  async #failedAttempt(failure: PortalError, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (!isFinal(failure)) {
      this.#setPhase('retrying', failure);
      if (failure.retryAfterMs !== undefined) await delay(failure.retryAfterMs, signal);
      return;
    }
    this.#setPhase('failed', failure);
    // Not one visitor more is to be sent to a lease that failed after it was opened.
    await this.#giveBack();
    this.#opened = undefined;
    if (failure.code !== 'intercepted') await delay(FINAL_RETRY_MS, signal);
  }

  async #giveBack(): Promise<void> {
    const { lease } = this.#opened ?? {};
    if (!lease || !this.#channel || this.#channel.closed) return;
    try {
      await this.#channel.request({ type: 'lease.close', lease }, AbortSignal.timeout(CLOSE_MS));
    } catch (error) {
      // A relay that does not answer gives the lease up by itself, after its grace.
      this.#log.debug({ err: error }, 'the lease could not be given back');
    }
  }

  #setPhase(phase: Phase, error?: PortalError): void {
    const same = this.#phase === phase && this.#error?.code === error?.code;
    this.#phase = phase;
    this.#error = error;
    if (same) return;
    this.#since = new Date();
    this.#options.onPhase(this);
  }
}

function isFinal(error: PortalError): boolean {
  return FINAL.has(error.code) && error.retryAfterMs === undefined;
}
