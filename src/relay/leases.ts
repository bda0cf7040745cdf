import { randomUUID } from 'node:crypto';
import { PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import type { FromAgent, WireCarrier } from '../protocol/messages.js';
import { hostnameFor } from './names.js';
import type { Store } from './store.js';
import type { Visitor } from './visitors.js';

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
  /** Visitors who wait for a data connection, first come first. */
  readonly waiting: Set<Visitor>;
  graceTimer?: NodeJS.Timeout;
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

/** Owns every lease of the relay: who holds which hostname, who may have it, and for how long it is kept. */
export class LeaseRegistry {
  readonly #byHostname = new Map<string, Lease>();
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

  heldBy(holder: LeaseHolder): Lease[] {
    return [...this.#byHostname.values()].filter((lease) => lease.holder === holder);
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
    if (present) return this.#handOver(present, holder, request);
    this.#checkReservation(name, holder.address);
    this.#checkCounts(holder);
    const lease: Lease = {
      id: randomUUID(),
      name,
      hostname,
      mode,
      address: holder.address,
      carrier: request.carrier,
      metadata: request.metadata ?? {},
      holder,
      waiting: new Set(),
    };
    // Claimed before the first await, so that of two racing requests one sees the other.
    this.#byHostname.set(hostname, lease);
    try {
      await this.#options.store.reserve(name, holder.address, Date.now());
    } catch (error) {
      this.#remove(lease);
      throw error;
    }
    return lease;
  }

  /** Closes one lease of `holder`; its name stays reserved. */
  async close(holder: LeaseHolder, id: string): Promise<void> {
    const lease = this.#own(holder, id);
    this.#remove(lease);
    await this.#options.store.reserve(lease.name, lease.address, Date.now());
  }

  update(holder: LeaseHolder, id: string, metadata: Record<string, string>): void {
    this.#own(holder, id).metadata = metadata;
  }

  /** The session is gone: what it still holds waits `graceMs` for its identity to return. */
  detach(holder: LeaseHolder): void {
    for (const lease of this.heldBy(holder)) {
      lease.holder = undefined;
      lease.graceTimer = setTimeout(() => this.#expire(lease), this.#options.graceMs);
      lease.graceTimer.unref();
    }
  }

  clear(): void {
    for (const lease of this.#byHostname.values()) this.#remove(lease);
  }

  /**
   * Another live session of the same identity may hold the name: another machine, or this one's own past that
   * the relay has not seen die yet. It is asked; only one that answers keeps the name.
   */
  async #settleRival(holder: LeaseHolder, hostname: string): Promise<void> {
    const lease = this.#byHostname.get(hostname);
    const rival = lease?.holder;
    if (!lease || !rival || rival === holder || lease.address !== holder.address) return;
    if (rival.instance === holder.instance || !(await rival.alive(RIVAL_PING_MS))) return;
    throw new PortalError(
      'name_taken',
      `another agent with your identity serves ${hostname}; stop it, or choose another name`,
      {
        retryAfterMs: RIVAL_RETRY_MS,
      },
    );
  }

  #handOver(lease: Lease, holder: LeaseHolder, request: FromAgent<'lease.open'>): Lease {
    if (lease.address !== holder.address) throw nameTaken(lease.name);
    const before = lease.holder;
    clearTimeout(lease.graceTimer);
    lease.holder = holder;
    lease.carrier = request.carrier;
    lease.metadata = request.metadata ?? {};
    if (before && before !== holder)
      before.revoked(lease, 'taken over by a newer session of the same identity');
    if (lease.waiting.size > 0) holder.serve(lease);
    return lease;
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

  #checkCounts(holder: LeaseHolder): void {
    const { store, reservationMs, maxLeasesPerSession, maxReservedNamesPerIdentity } = this.#options;
    if (this.heldBy(holder).length >= maxLeasesPerSession) {
      throw new PortalError('limit_exceeded', `a session may hold ${maxLeasesPerSession} leases`);
    }
    if (store.countReservations(holder.address, Date.now() - reservationMs) >= maxReservedNamesPerIdentity) {
      throw new PortalError('limit_exceeded', `an identity may reserve ${maxReservedNamesPerIdentity} names`);
    }
  }

  #own(holder: LeaseHolder, id: string): Lease {
    for (const lease of this.#byHostname.values()) {
      if (lease.id === id && lease.holder === holder) return lease;
    }
    throw new PortalError('not_found', 'no such lease in this session');
  }

  #expire(lease: Lease): void {
    if (lease.holder) return;
    this.#options.log.info({ hostname: lease.hostname }, 'lease expired: its identity did not come back');
    this.#remove(lease);
    this.#options.store.reserve(lease.name, lease.address, Date.now()).catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'the last use of a name could not be stored');
    });
  }

  #remove(lease: Lease): void {
    clearTimeout(lease.graceTimer);
    this.#byHostname.delete(lease.hostname);
    for (const visitor of lease.waiting) visitor.giveUp();
    lease.waiting.clear();
  }
}

function nameTaken(name: string): PortalError {
  return new PortalError(
    'name_taken',
    `"${name}" is in use by another identity; choose another name for the service, or use the identity that holds it`,
  );
}
