import type { Socket } from 'node:net';
import pLimit, { type LimitFunction as Limit } from 'p-limit';
import pRetry from 'p-retry';
import { asPortalError, PortalError, type ErrorCode } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { delay } from '../lib/wait.js';
import type { Drain } from '../net/splice.js';
import { formatTarget } from '../net/target.js';
import type { FromRelay } from '../protocol/messages.js';
import { LiveCertificate } from '../certificates/live.js';
import type { LocalCertificates } from '../certificates/source.js';
import type { ControlChannel } from './control.js';
import type { VisitorInfo } from './modes/mode.js';
import { StreamHandler } from './modes/stream.js';
import { probe } from './probe.js';
import type { ServiceSpec } from './spec.js';
import type { ErrorSummary, LeaseStatus, Phase } from './status.js';
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

interface Serving {
  readonly hostname: string;
  readonly handler: StreamHandler;
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
  #serving: Promise<Serving> | undefined;
  #handler: StreamHandler | undefined;
  #certificate: LiveCertificate | undefined;
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

  get url(): string | undefined {
    return this.#opened?.url;
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
  visit(socket: Socket, visitor: VisitorInfo): void {
    if (!this.#serving) return void socket.destroy();
    this.#serving.then(
      ({ handler }) => handler.visit(socket, visitor),
      () => socket.destroy(),
    );
  }

  /** New settings in place: not one visitor is dropped for it. */
  update(spec: ServiceSpec): void {
    const metadataChanged = JSON.stringify(spec.metadata) !== JSON.stringify(this.#spec.metadata);
    const carrierChanged = spec.carrier !== this.#spec.carrier;
    this.#spec = spec;
    this.#log = this.#options.log.child({ service: spec.service });
    this.#handler?.update(spec);
    this.#certificate?.update(spec.tls);
    const channel = this.#channel;
    if (!channel || !this.#opened || this.#phase === 'failed') return;
    // Opening a lease that is held already changes its carrier in place.
    const change = carrierChanged
      ? channel.request(this.#openRequest())
      : metadataChanged &&
        channel.request({ type: 'lease.update', lease: this.#opened.lease, metadata: spec.metadata });
    if (change)
      change.catch((error: unknown) =>
        this.#log.warn({ err: error }, 'the relay did not take the new settings'),
      );
  }

  /**
   * Stops accepting at once, lets visitors finish within `drain`, gives the lease back. Called again, it
   * shortens the drain.
   */
  async close(drain: Drain): Promise<void> {
    if (this.#closing) await this.#handler?.drain(drain);
    else this.#closing = this.#close(drain);
    await this.#closing;
  }

  /** Looks whether the local service answers; `status` tells what was found. */
  async checkTarget(): Promise<void> {
    try {
      const socket = await checking(() => connectTarget(this.#spec.target));
      socket.destroy();
      this.#targetError = undefined;
    } catch (error) {
      this.#targetError = asPortalError(error).message;
    }
  }

  status(): LeaseStatus {
    const traffic = this.#handler?.traffic() ?? { visitors: 0, bytesIn: 0, bytesOut: 0 };
    return {
      service: this.#spec.service,
      relay: this.relay,
      phase: this.#phase,
      since: this.#since.toISOString(),
      retries: this.#retries,
      ...(this.#opened && { lease: this.#opened.lease, url: this.#opened.url }),
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
    const { name, mode, carrier, metadata } = this.#spec;
    // The protocol module lists the carriers that a lease may have on the wire.
    return {
      type: 'lease.open',
      name,
      mode,
      carrier: carrier === 'tls' ? 'tls' : 'raw',
      metadata: { ...metadata },
    } as const;
  }

  async #open(channel: ControlChannel, signal: AbortSignal): Promise<void> {
    const answer = await channel.request(this.#openRequest(), signal);
    if (answer.type !== 'lease.opened')
      throw new PortalError('protocol', `lease.open was answered with ${answer.type}`);
    this.#opened = answer;
    const { hostname, handler } = await this.#serve(answer.hostname);
    await probe({
      address: channel.relayAddress,
      port: channel.welcome.publicPort,
      hostname,
      alpn: this.#spec.alpn,
      fingerprint: handler.certificate.fingerprint,
      target: handler,
      signal,
    });
    this.#provenAt = new Date();
    this.#setPhase('ready');
  }

  /** The handler for `hostname`; kept over reconnects, so that its visitors and counters live on. */
  async #serve(hostname: string): Promise<Serving> {
    const present = await this.#serving?.catch(() => undefined);
    if (present?.hostname === hostname) return present;
    this.#serving = this.#startServing(hostname);
    return this.#serving;
  }

  async #startServing(hostname: string): Promise<Serving> {
    this.#certificate?.close();
    this.#certificate = new LiveCertificate({
      hostname,
      tls: this.#spec.tls,
      local: this.#options.localCertificates,
      onNew: (certificate) => this.#handler?.serveCertificate(certificate),
      log: this.#log,
    });
    this.#handler = new StreamHandler(this.#spec, await this.#certificate.open(), this.#log);
    return { hostname, handler: this.#handler };
  }

  async #close(drain: Drain): Promise<void> {
    this.#attachment.abort();
    this.#certificate?.close();
    this.#setPhase('draining');
    await this.#giveBack();
    await this.#handler?.drain(drain);
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
