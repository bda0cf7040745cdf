import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import { atTime, checkClock } from '../../lib/wall-clock.js';
import type { RenewalStatus, ServingCertificate } from '../source.js';
import type { AcmeAuthority } from './authority.js';
import type { AcmeStore, DatedCertificate, RejectedOrder } from './store.js';

/** Pauses after failures, in milliseconds. */
export interface Schedule {
  /** After a rejection. CAs count failed validations: Let's Encrypt allows five per hour and hostname. */
  readonly rejectedMs: { readonly first: number; readonly factor: number; readonly max: number };
  /** After a CA did not respond. CAs do not count these. */
  readonly unreachableMs: { readonly first: number; readonly factor: number; readonly max: number };
  /** The agent first asks the CA for a renewal time at a random moment within this. */
  readonly firstQueryWithinMs: number;
}

const SCHEDULE: Schedule = {
  rejectedMs: { first: 60_000, factor: 3, max: 6 * 3_600_000 },
  unreachableMs: { first: 10_000, factor: 2, max: 600_000 },
  firstQueryWithinMs: 60_000,
};

/** Renew after this part of the lifetime. The remaining third covers an outage of the CA. */
const RENEW_AT = 2 / 3;
/** Spreads the renewals of certificates that were issued together, as a part of the lifetime. */
const SPREAD = 0.02;
/** The latest renewal that a CA may suggest, as a part of the lifetime. */
const LATEST_AT = 0.9;
/** A certificate with a shorter life is renewed before a response of the CA would matter. */
const MIN_QUERIED_LIFE_MS = 3_600_000;
const QUERY_AGAIN_MS = 6 * 3_600_000;
/** Timeout of the first certificate. */
const FIRST_MS = 3_600_000;

export interface HoldListener {
  /** A new certificate is available. Never called for the one that `first` resolves with. */
  onNew(certificate: ServingCertificate): void;
  /** An order failed. `current` is the certificate until one succeeds. */
  onFailed(error: PortalError, current: ServingCertificate): void;
}

export interface HeldOptions {
  readonly authority: AcmeAuthority;
  readonly store: AcmeStore;
  readonly log: Logger;
  readonly schedule?: Partial<Schedule> | undefined;
}

/**
 * One hostname's certificate from one CA. Reads it from disk or orders it, renews it before it expires, and retries.
 */
export class HeldCertificate {
  readonly hostname: string;
  readonly #options: HeldOptions;
  readonly #schedule: Schedule;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<HoldListener>();
  #certificate: DatedCertificate | undefined;
  #renewAt: number | undefined;
  #order: Promise<DatedCertificate> | undefined;
  #read: Promise<void> | undefined;
  #failure: RejectedOrder | undefined;
  #stopWaiting: (() => void) | undefined;
  #asking: NodeJS.Timeout | undefined;

  constructor(hostname: string, options: HeldOptions) {
    this.hostname = hostname;
    this.#options = options;
    this.#schedule = { ...SCHEDULE, ...options.schedule };
    this.#log = options.log.child({ hostname, ca: options.authority.name });
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  add(listener: HoldListener): void {
    this.#listeners.add(listener);
  }

  remove(listener: HoldListener): boolean {
    return this.#listeners.delete(listener);
  }

  /**
   * The certificate to serve now: the stored one if it is valid, else a new order. After a failure it rejects with
   * that error and `retryAfterMs`, until the next attempt is due.
   */
  async first(signal: AbortSignal): Promise<ServingCertificate> {
    const stored = await this.stored(signal);
    if (stored) return stored;
    const { error, nextAt = 0 } = this.#failure ?? {};
    if (error && this.#isWaiting) throw withPause(error, nextAt - Date.now());
    return await within(this.#obtain(), FIRST_MS, `the certificate for ${this.hostname}`, signal);
  }

  /** The certificate to serve now, without an order. Undefined if none is stored, or if it has expired. */
  async stored(signal: AbortSignal, timeoutMs = FIRST_MS): Promise<ServingCertificate | undefined> {
    this.#read ??= this.#readStored().catch((error: unknown) => {
      this.#read = undefined;
      throw error;
    });
    await within(this.#read, timeoutMs, 'the stored certificate', signal);
    return this.#certificate && isValid(this.#certificate) ? this.#certificate : undefined;
  }

  status(): Omit<RenewalStatus, 'expiresSoon'> {
    const nextAt = this.#failure?.nextAt ?? this.#renewAt;
    return {
      notAfter: this.#certificate?.notAfter.toISOString(),
      nextAt: nextAt === undefined ? undefined : new Date(nextAt).toISOString(),
      error: this.#failure?.error,
    };
  }

  close(): void {
    this.#stop.abort(new PortalError('aborted', 'the certificate is no longer needed'));
    this.#stopWaiting?.();
    clearTimeout(this.#asking);
  }

  async #readStored(): Promise<void> {
    const { store } = this.#options;
    const [stored, rejection] = await Promise.all([
      store.read(this.hostname),
      store.rejection(this.hostname),
    ]);
    if (this.#stop.signal.aborted) return;
    if (stored && isValid(stored)) this.#take(stored);
    else if (stored)
      this.#log.warn(
        { notAfter: stored.notAfter.toISOString() },
        'the stored certificate has expired; ordering a new one',
      );
    if (rejection) this.#waitAfter(rejection);
  }

  /** A restart does not shorten the wait, because CAs count rejected orders. */
  #waitAfter(rejection: RejectedOrder): void {
    this.#failure = rejection;
    this.#wait();
    const { error, count, nextAt } = rejection;
    this.#log.info(
      { code: error.code, reason: error.message, attempt: count, nextAt: new Date(nextAt).toISOString() },
      'the CA rejected the last order; Portal retries',
    );
  }

  #take(certificate: DatedCertificate, { isNew = false } = {}): void {
    this.#certificate = certificate;
    this.#failure = undefined;
    const [from, to] = [certificate.notBefore.getTime(), certificate.notAfter.getTime()];
    this.#renewAt = from + (to - from) * (RENEW_AT - Math.random() * SPREAD);
    // A certificate that was issued late in its life, or by another clock, is not reordered immediately.
    if (isNew && this.#renewAt <= Date.now()) this.#renewAt = (Date.now() + to) / 2;
    this.#wait();
    const askMs = Math.random() * this.#schedule.firstQueryWithinMs;
    if (to - from > MIN_QUERIED_LIFE_MS) this.#queryLater(certificate, askMs);
  }

  /** Asks the CA from time to time whether to renew the certificate at another time. */
  #queryLater(certificate: DatedCertificate, pauseMs: number): void {
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => void this.#ask(certificate), pauseMs).unref();
  }

  async #ask(certificate: DatedCertificate): Promise<void> {
    const { signal } = this.#stop;
    const suggestion = await this.#options.authority.suggestion(certificate, signal);
    if (signal.aborted || this.#certificate !== certificate) return;
    this.#queryLater(certificate, suggestion?.againMs ?? QUERY_AGAIN_MS);
    if (!suggestion) return;
    // Renew early enough to survive an outage of the CA.
    const [from, to] = [certificate.notBefore.getTime(), certificate.notAfter.getTime()];
    this.#renewAt = Math.min(suggestion.renewAt, from + (to - from) * LATEST_AT);
    if (!this.#failure) this.#wait();
  }

  /** The order in progress, or a new one. All callers wait for the same order. */
  #obtain(): Promise<DatedCertificate> {
    this.#order ??= this.#run().finally(() => (this.#order = undefined));
    return this.#order;
  }

  async #run(): Promise<DatedCertificate> {
    const { authority, store } = this.#options;
    const before = this.#certificate;
    try {
      this.#log.info(
        {},
        before
          ? 'renewing the certificate'
          : 'no certificate yet: ordering one; TLS connections fail until it arrives',
      );
      const { signal } = this.#stop;
      const certificate = await store.exclusively(this.hostname, () => this.#obtainOnce(), signal);
      // An expired certificate would be renewed immediately, in an endless loop.
      if (!isValid(certificate)) throw expired(certificate, authority.name);
      this.#take(certificate, { isNew: true });
      await this.#keep(() => this.#options.store.removeRejection(this.hostname));
      this.#log.info({ notAfter: certificate.notAfter.toISOString() }, 'a new certificate is available');
      for (const listener of this.#listeners) listener.onNew(certificate);
      return certificate;
    } catch (error) {
      if (this.#isWaiting) throw error;
      throw await this.#failed(asPortalError(error));
    }
  }

  /** What another process that shares the store has ordered meanwhile, or a new order. */
  async #obtainOnce(): Promise<DatedCertificate> {
    const { authority, store } = this.#options;
    const stored = await store.read(this.hostname);
    if (stored && isValid(stored) && stored.fingerprint !== this.#certificate?.fingerprint) return stored;
    const rejection = await store.rejection(this.hostname);
    if (rejection && rejection.nextAt > Date.now()) {
      this.#waitAfter(rejection);
      throw withPause(rejection.error, rejection.nextAt - Date.now());
    }
    return authority.order(this.hostname, this.#stop.signal);
  }

  /** Whether the next order is not due yet. */
  get #isWaiting(): boolean {
    return (this.#failure?.nextAt ?? 0) > Date.now();
  }

  async #failed(error: PortalError): Promise<PortalError> {
    if (this.#stop.signal.aborted) return error;
    const count = (this.#failure?.count ?? 0) + 1;
    const pauseMs = Math.max(this.#pauseMs(error, count), error.retryAfterMs ?? 0);
    const failure = { error, count, nextAt: Date.now() + pauseMs };
    this.#failure = failure;
    this.#wait();
    await this.#keep(() => this.#options.store.writeRejection(this.hostname, failure));
    const { code, message, hint } = error;
    const served = this.#certificate
      ? `, the old certificate is served until ${this.#certificate.notAfter.toISOString()}`
      : '';
    this.#log.warn(
      { code, reason: message, hint, attempt: count, nextAt: new Date(failure.nextAt).toISOString() },
      `no new certificate${served}; Portal retries`,
    );
    if (this.#certificate)
      for (const listener of this.#listeners) listener.onFailed(error, this.#certificate);
    return withPause(error, pauseMs);
  }

  /** Without the file, only a restart forgets the wait. */
  async #keep(change: () => Promise<void>): Promise<void> {
    await change().catch((error: unknown) =>
      this.#log.warn({ reason: asPortalError(error).message }, 'cannot store when the next order is due'),
    );
  }

  #pauseMs(error: PortalError, count: number): number {
    const isAway = error.code === 'acme_unreachable';
    const { first, factor, max } = isAway ? this.#schedule.unreachableMs : this.#schedule.rejectedMs;
    return Math.min(max, first * factor ** (count - 1)) * (1 + Math.random() / 4);
  }

  /** Waits until the next renewal or attempt. */
  #wait(): void {
    this.#stopWaiting?.();
    const at = this.#failure?.nextAt ?? this.#renewAt;
    if (at === undefined || this.#stop.signal.aborted) return;
    this.#stopWaiting = atTime(at, () => void this.#obtain().catch(() => undefined));
  }
}

const isValid = ({ notAfter }: DatedCertificate): boolean => notAfter.getTime() > Date.now();

function expired({ notAfter }: DatedCertificate, ca: string): PortalError {
  return new PortalError(
    'acme_rejected',
    `the certificate that ${ca} issued has already expired, at ${notAfter.toISOString()}`,
    { hint: checkClock() },
  );
}

/** The same error, with the pause before a retry. */
function withPause(error: PortalError, pauseMs: number): PortalError {
  const { code, message, hint } = error;
  return new PortalError(code, message, {
    cause: error,
    retryAfterMs: Math.ceil(pauseMs),
    ...(hint === undefined ? {} : { hint }),
  });
}
