import { randomUUID } from 'node:crypto';
import { PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { FromAgent, WireCarrier } from '../protocol/messages.js';
import { hostnameFor } from './names.js';
import type { Store } from './store.js';
import { WaitingLine } from './visitors.js';

/** A service's place on this relay. It belongs to an identity; a session only holds it for a while. */
export interface Lease {
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  readonly mode: FromAgent<'lease.open'>['mode'];
  /** Address of the identity it belongs to. */
  readonly address: string;
  carrier: WireCarrier;
  metadata: Record<string, string>;
  /** The session that serves it now; undefined while its identity has `graceMs` to come back. */
  holder: LeaseHolder | undefined;
  /** Visitors who wait for a data connection. */
  readonly waiting: WaitingLine;
  graceTimer?: NodeJS.Timeout;
  /** When the last use of its name was stored, and that it was. */
  storedAt: number;
  stored: Promise<void>;
}

/** What the registry needs of a session. */
export interface LeaseHolder {
  readonly address: string;
  /** Which agent process it is, the same over its reconnects. */
  readonly instance: string;
  readonly closed: boolean;
  /** Whether the peer still answers. */
  alive(ms: number): Promise<boolean>;
  /** Its lease went to another session of the same identity. */
  revoked(lease: Lease, reason: string): void;
  /** Visitors wait for this lease: see that data connections come. */
  serve(lease: Lease): void;
}

export interface LeaseRegistryOptions {
  readonly store: Store;
  readonly domain: string;
  readonly graceMs: number;
  readonly reservationMs: number;
  readonly maxLeasesPerSession: number;
  readonly maxReservedNamesPerIdentity: number;
  readonly log: Logger;
}

/** How long the present holder of a name is given to show that it is alive when a sibling asks for it. */
const RIVAL_PING_MS = 1_000;
const RIVAL_RETRY_MS = 5_000;
/** A name in use is stored again after this part of the time for which it stays reserved. */
const REFRESH_PART = 1 / 30;

/** Owns every lease of the relay: who holds which hostname, who may have it, and for how long it is kept. */
export class LeaseRegistry {
  readonly #byHostname = new Map<string, Lease>();
  /** By session and lease id; written by #give alone, together with `lease.holder`. */
  readonly #held = new Map<LeaseHolder, Map<string, Lease>>();
  readonly #options: LeaseRegistryOptions;

  constructor(options: LeaseRegistryOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byHostname.size;
  }

  find(hostname: string): Lease | undefined {
    return this.#byHostname.get(hostname);
  }

  /** Opens a lease for `holder`, or hands it the one its identity has already. */
  async open(holder: LeaseHolder, request: FromAgent<'lease.open'>): Promise<Lease> {
    const { name, mode } = request;
    const hostname = hostnameFor(name, this.#options.domain);
    if (mode !== 'stream')
      throw new PortalError('capability_missing', `this relay does not offer mode ${mode} yet`);
    await this.#settleRival(holder, hostname);
    if (holder.closed) throw new PortalError('aborted', 'the session ended while its lease was opening');
    const present = this.#byHostname.get(hostname);
    if (present) {
      this.#handOver(present, holder, request);
      // Whoever asked for it first may still be waiting for the disk.
      await present.stored;
      return this.#stillOf(holder, present);
    }
    this.#checkReservation(name, holder.address);
    this.#checkCounts(name, holder);
    // Claimed before the first await, so that of two racing requests one sees the other.
    const now = Date.now();
    const lease: Lease = {
      id: randomUUID(),
      name,
      hostname,
      mode,
      address: holder.address,
      carrier: request.carrier,
      metadata: request.metadata ?? {},
      holder: undefined,
      waiting: new WaitingLine(),
      storedAt: now,
      stored: this.#options.store.reserve(name, holder.address, now),
    };
    this.#byHostname.set(hostname, lease);
    this.#give(lease, holder);
    try {
      await lease.stored;
    } catch (error) {
      this.#remove(lease);
      throw error;
    }
    return this.#stillOf(holder, lease);
  }

  /** Closes one lease of `holder`; its name stays reserved. */
  close(holder: LeaseHolder, id: string): void {
    const lease = this.#own(holder, id);
    this.#remove(lease);
    this.#store(lease);
  }

  update(holder: LeaseHolder, id: string, metadata: Record<string, string>): void {
    this.#own(holder, id).metadata = metadata;
  }

  /** The session is gone: what it still holds waits `graceMs` for its identity to return. */
  detach(holder: LeaseHolder): void {
    for (const lease of this.#held.get(holder)?.values() ?? []) {
      this.#give(lease, undefined);
      lease.graceTimer = setTimeout(() => this.#expire(lease), this.#options.graceMs);
      lease.graceTimer.unref();
    }
  }

  /** Names in use must not lapse however long they are: called now and then, stores those that it is time for. */
  refresh(): void {
    const before = Date.now() - this.#options.reservationMs * REFRESH_PART;
    for (const lease of this.#byHostname.values()) if (lease.storedAt <= before) this.#store(lease);
  }

  clear(): void {
    for (const lease of this.#byHostname.values()) this.#remove(lease);
  }

  /**
   * Another live session of the same identity may hold the name: another machine, or this one's own past that
   * the relay has not seen die yet. It is asked; only one that answers keeps the name.
   */
  async #settleRival(holder: LeaseHolder, hostname: string): Promise<void> {
    for (let asked: LeaseHolder | undefined; ;) {
      const lease = this.#byHostname.get(hostname);
      const rival = lease?.holder;
      if (!lease || !rival || rival === holder || lease.address !== holder.address) return;
      // While the last one was asked, a third may have come to hold it.
      if (rival.instance === holder.instance || rival === asked) return;
      asked = rival;
      if (!(await rival.alive(RIVAL_PING_MS))) continue;
      if (lease.holder !== rival) continue;
      throw new PortalError(
        'name_taken',
        `another agent with your identity serves ${hostname}; stop it, or choose another name`,
        { retryAfterMs: RIVAL_RETRY_MS },
      );
    }
  }

  /** `lease`, unless it changed hands while its opener waited: it has been told so, and must not hear of it again. */
  #stillOf(holder: LeaseHolder, lease: Lease): Lease {
    if (lease.holder === holder || holder.closed) return lease;
    throw new PortalError('not_found', 'the lease was closed or taken over while it was opening');
  }

  #handOver(lease: Lease, holder: LeaseHolder, request: FromAgent<'lease.open'>): void {
    if (lease.address !== holder.address) throw nameTaken(lease.name);
    const before = lease.holder;
    if (before !== holder && this.#countOf(holder) >= this.#options.maxLeasesPerSession)
      throw tooManyLeases(this.#options.maxLeasesPerSession);
    clearTimeout(lease.graceTimer);
    this.#give(lease, holder);
    lease.carrier = request.carrier;
    lease.metadata = request.metadata ?? {};
    if (before && before !== holder)
      before.revoked(lease, 'taken over by a newer session of the same identity');
    if (lease.waiting.size > 0) holder.serve(lease);
  }

  #checkReservation(name: string, address: string): void {
    const { store, reservationMs } = this.#options;
    const reservation = store.reservation(name);
    if (!reservation || reservation.address === address) return;
    const until = reservation.usedAt + reservationMs;
    if (until <= Date.now()) return;
    throw new PortalError(
      'name_reserved',
      `"${name}" is reserved for another identity until ${new Date(until).toISOString()}; choose another name, or use that identity`,
    );
  }

  #checkCounts(name: string, holder: LeaseHolder): void {
    const { store, reservationMs, maxLeasesPerSession, maxReservedNamesPerIdentity } = this.#options;
    if (this.#countOf(holder) >= maxLeasesPerSession) throw tooManyLeases(maxLeasesPerSession);
    const since = Date.now() - reservationMs;
    const reservation = store.reservation(name);
    // What is its own already takes no more room.
    if (reservation?.address === holder.address && reservation.usedAt > since) return;
    if (store.countReservations(holder.address, since) >= maxReservedNamesPerIdentity) {
      throw new PortalError('limit_exceeded', `an identity may reserve ${maxReservedNamesPerIdentity} names`);
    }
  }

  #countOf(holder: LeaseHolder): number {
    return this.#held.get(holder)?.size ?? 0;
  }

  #own(holder: LeaseHolder, id: string): Lease {
    const lease = this.#held.get(holder)?.get(id);
    if (!lease) throw new PortalError('not_found', 'no such lease in this session');
    return lease;
  }

  /** The one place where a lease changes hands. */
  #give(lease: Lease, holder: LeaseHolder | undefined): void {
    if (lease.holder) {
      const leases = this.#held.get(lease.holder);
      leases?.delete(lease.id);
      if (leases?.size === 0) this.#held.delete(lease.holder);
    }
    lease.holder = holder;
    if (!holder) return;
    const leases = this.#held.get(holder);
    if (leases) leases.set(lease.id, lease);
    else this.#held.set(holder, new Map([[lease.id, lease]]));
  }

  #expire(lease: Lease): void {
    if (lease.holder) return;
    this.#options.log.info({ hostname: lease.hostname }, 'lease expired: its identity did not come back');
    this.#remove(lease);
    this.#store(lease);
  }

  /** Notes the last use of a name. That it fails is the operator's trouble; the agent's lease does not depend on it. */
  #store(lease: Lease): void {
    lease.storedAt = Date.now();
    this.#options.store.reserve(lease.name, lease.address, lease.storedAt).catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'the last use of a name could not be stored');
    });
  }

  #remove(lease: Lease): void {
    clearTimeout(lease.graceTimer);
    this.#give(lease, undefined);
    if (this.#byHostname.get(lease.hostname) === lease) this.#byHostname.delete(lease.hostname);
    lease.waiting.clear();
  }
}

function tooManyLeases(max: number): PortalError {
  return new PortalError('limit_exceeded', `a session may hold ${max} leases`);
}

function nameTaken(name: string): PortalError {
  return new PortalError(
    'name_taken',
    `"${name}" is in use by another identity; choose another name for the service, or use the identity that holds it`,
  );
}
