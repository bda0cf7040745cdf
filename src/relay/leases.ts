import { otherName } from './other-name.js';
import { PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { kindOf, type LeaseKind } from '../protocol/kind.js';
import type { FromAgent } from '../protocol/messages.js';
import { plainHostname, type DomainProofs } from './domains.js';
import { HeldLeases, networkOfHolder } from './held-leases.js';
import { placeOf } from './directory/record.js';
import { newLease, type LeaseHolder, type LocalLease } from './lease.js';
import type { ReservedLabels } from './labels.js';
import { hostnameFor, nameOf } from './names.js';
import type { OpenPort, PublicPorts } from './ports.js';
import type { Quotas } from './quotas.js';
import type { Reservations } from './reservations.js';
import { ReturningAgents } from './returning-agents.js';

export interface LeaseRegistryOptions {
  readonly reservations: Reservations;
  readonly ports: PublicPorts;
  readonly domains: DomainProofs;
  readonly labels: ReservedLabels;
  readonly quotas: Quotas;
  readonly domain: string;
  readonly graceMs: number;
  readonly maxLeasesPerSession: number;
  readonly reserveAfterMs: number;
  readonly log: Logger;
}

/** How long the current holder of a name may take to answer a ping when another agent of its identity requests the name. */
const RIVAL_PING_MS = 1_000;
const RIVAL_RETRY_MS = 5_000;

/** Owns every lease of the relay: which session holds which hostname, which identity may have it, and for how long. */
export class LeaseRegistry {
  /** Every lease, by its place: a hostname, or a name among the leases with ports of that kind. */
  readonly #byPlace = new Map<string, LocalLease>();
  readonly #held = new HeldLeases();
  readonly #returning = new ReturningAgents();
  readonly #options: LeaseRegistryOptions;
  #stopped = false;

  constructor(options: LeaseRegistryOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byPlace.size;
  }

  /** Number of leases of each kind; `away`: leases whose agent is disconnected. */
  get sizes(): Readonly<Record<LeaseKind | 'away', number>> {
    const sizes = { tls: 0, tcp: 0, udp: 0, away: 0 };
    for (const { record, holder } of this.#byPlace.values()) {
      sizes[record.kind]++;
      if (!holder) sizes.away++;
    }
    return sizes;
  }

  /** The lease that serves `hostname`. */
  find(hostname: string): LocalLease | undefined {
    return this.#byPlace.get(hostname);
  }

  /** Call when the relay starts: agents of the previous process reconnect within `graceMs`. */
  start(): void {
    this.#returning.start(this.#options.graceMs);
  }

  /**
   * A lease for visitors of a reserved name whose agent has not reconnected since the start. They wait as if the agent had
   * disconnected a moment ago. Undefined if no agent is expected.
   */
  expect(hostname: string): LocalLease | undefined {
    const { reservations, quotas, domain } = this.#options;
    const leftMs = this.#returning.leftMs(hostname);
    const name = nameOf(hostname, domain);
    if (leftMs <= 0 || this.#stopped || name === undefined) return undefined;
    const reservation = reservations.current(name);
    if (!reservation) return undefined;
    try {
      quotas.openLease(reservation.address);
    } catch {
      return undefined;
    }
    const lease = newLease({
      record: {
        place: hostname,
        name,
        hostname,
        isOwnDomain: false,
        kind: 'tls',
        owner: reservation.address,
        instance: undefined,
        port: undefined,
        // The carrier that every agent can use, whatever it requests later.
        carrier: 'tls',
      },
      rate: quotas.rateOf(reservation.address),
      storedAt: reservation.usedAt,
      firm: reservations.isFirm(reservation),
      opened: Promise.resolve(),
    });
    this.#byPlace.set(hostname, lease);
    // Stores nothing: a visit does not count as use of the name.
    lease.graceTimer = setTimeout(() => this.#remove(lease), leftMs).unref();
    return lease;
  }

  /** Opens a lease for `holder`, or hands over the existing lease of its identity. */
  async open(holder: LeaseHolder, request: FromAgent<'lease.open'>): Promise<LocalLease> {
    const { name } = request;
    const kind = kindOf(request.mode);
    if (kind !== 'tls' && !this.#options.ports.offers(kind))
      throw new PortalError('capability_missing', `this relay offers no ${kind} ports`);
    const ownHostname = request.hostname === undefined ? undefined : plainHostname(request.hostname);
    const hostname = ownHostname ?? hostnameFor(name, this.#options.domain);
    if (ownHostname === undefined) this.#options.labels.check(name, holder.address);
    if (ownHostname !== undefined) await this.#proveDomain(kind, ownHostname, holder);
    const place = placeOf({ kind, hostname });
    await this.#settleRival(holder, place);
    if (holder.closed) throw new PortalError('aborted', 'the session ended while its lease was opening');
    if (kind === 'tls') this.#returning.returned(hostname);
    const present = this.#byPlace.get(place);
    if (present) {
      this.#handOver(present, holder, request);
      // The first opener may still wait for the disk.
      await present.opened;
      await this.#movePort(present, request.port);
      return this.#stillOf(holder, present);
    }
    const { reservations, quotas } = this.#options;
    const user = { address: holder.address, network: networkOfHolder(holder) };
    if (ownHostname === undefined) reservations.check(name, user);
    this.#checkRoom(holder);
    if (kind !== 'tls') quotas.openPort(holder.address, user.network);
    try {
      quotas.openLease(holder.address);
    } catch (error) {
      if (kind !== 'tls') quotas.closePort(holder.address, user.network);
      throw error;
    }
    // Claimed before the first await, so that one of two racing requests sees the other.
    const now = Date.now();
    const claim =
      ownHostname === undefined
        ? reservations.claim(name, user, now)
        : { usedAt: now, firm: true, stored: Promise.resolve() };
    const lease = newLease({
      record: {
        place,
        name,
        hostname,
        isOwnDomain: ownHostname !== undefined,
        kind,
        owner: holder.address,
        instance: holder.instance,
        port: undefined,
        carrier: request.carrier,
      },
      ...(request.metadata && { metadata: request.metadata }),
      rate: quotas.rateOf(holder.address),
      storedAt: claim.usedAt,
      firm: claim.firm,
      opened: claim.stored,
    });
    this.#byPlace.set(place, lease);
    this.#held.give(lease, holder);
    lease.opened = this.#openPort(lease, lease.opened, request.port);
    try {
      await lease.opened;
    } catch (error) {
      this.#remove(lease);
      throw error;
    }
    return this.#stillOf(holder, lease);
  }

  /** Closes one lease of `holder`. Its name stays reserved. */
  close(holder: LeaseHolder, id: string): void {
    const lease = this.#own(holder, id);
    this.#remove(lease);
    this.#store(lease);
  }

  update(holder: LeaseHolder, id: string, metadata: Record<string, string>): void {
    this.#own(holder, id).metadata = metadata;
  }

  /** Call when a session ends: its leases wait `graceMs` for their identity to return. */
  detach(holder: LeaseHolder): void {
    for (const lease of this.#held.of(holder).values()) {
      this.#held.give(lease, undefined);
      lease.graceTimer = setTimeout(() => this.#expire(lease), this.#options.graceMs);
      lease.graceTimer.unref();
    }
  }

  /** Stores the last use of names, so that a name in use never expires. Called periodically. */
  refresh(): void {
    const before = Date.now() - this.#options.reservations.refreshMs;
    for (const lease of this.#byPlace.values()) if (lease.storedAt <= before) this.#store(lease);
  }

  /** Marks names that were held long enough as reserved. Called periodically. */
  confirm(): void {
    const before = performance.now() - this.#options.reserveAfterMs;
    for (const lease of this.#byPlace.values()) {
      if (lease.firm || lease.heldSince > before) continue;
      lease.firm = true;
      this.#store(lease);
    }
  }

  /** Whether `holder` has a lease of mode tcp with this port. */
  listensFor(holder: LeaseHolder, port: number): boolean {
    for (const lease of this.#held.of(holder).values())
      if (lease.record.kind === 'tcp' && lease.record.port === port) return true;
    return false;
  }

  /** Leases of hostnames outside the relay's domain. */
  withOwnDomains(): LocalLease[] {
    return [...this.#byPlace.values()].filter(({ record }) => record.isOwnDomain);
  }

  /** Ends a lease and tells its agent why. */
  revoke(lease: LocalLease, reason: string): void {
    const { holder, record } = lease;
    if (this.#byPlace.get(record.place) !== lease) return;
    this.#options.log.info({ hostname: record.hostname, reason }, 'lease revoked');
    this.#remove(lease);
    holder?.revoked(lease, reason);
  }

  /** Ends every matching lease and its visitors' connections, with or without an agent. The names stay reserved. */
  removeWhere(matches: (lease: LocalLease) => boolean): void {
    for (const lease of this.#byPlace.values()) {
      if (!matches(lease)) continue;
      this.#remove(lease);
      lease.traffic.cut();
    }
  }

  all(): Iterable<LocalLease> {
    return this.#byPlace.values();
  }

  /** Ends every lease of one agent and its visitors' connections. The names stay reserved. */
  endOf(identity: string, instance: string): void {
    for (const lease of this.#byPlace.values()) {
      if (lease.record.owner !== identity || lease.record.instance !== instance) continue;
      this.#remove(lease);
      this.#store(lease);
      lease.traffic.cut();
    }
  }

  /**
   * Releases a name that `identity` has reserved, with its ports. Any identity may take it then. Ends a lease that waits for
   * its agent. Throws `name_in_use` while an agent serves the name, and `not_found` if this identity has not reserved it.
   */
  async release(identity: string, name: string): Promise<void> {
    const leases = [...this.#byPlace.values()].filter(
      ({ record }) => record.owner === identity && record.name === name && !record.isOwnDomain,
    );
    if (leases.some(({ holder }) => holder))
      throw new PortalError(
        'name_in_use',
        `an agent serves "${name}" now; stop or disconnect the agent, then release the name`,
      );
    for (const lease of leases) this.#remove(lease);
    if (await this.#options.reservations.release(name, identity)) return;
    throw new PortalError('not_found', `"${name}" is not reserved for your identity on this relay`);
  }

  /** Closes the public ports of all leases. Connected visitors stay. */
  stopListening(): void {
    this.#stopped = true;
    for (const lease of this.#byPlace.values()) lease.port?.close();
  }

  clear(): void {
    for (const lease of this.#byPlace.values()) this.#remove(lease);
  }

  /**
   * Another session of the same identity may hold the name: another machine, or a past connection of this agent that has not
   * timed out yet. Pings that session. Only a session that answers keeps the name.
   */
  async #settleRival(holder: LeaseHolder, place: string): Promise<void> {
    for (let asked: LeaseHolder | undefined; ;) {
      const lease = this.#byPlace.get(place);
      const rival = lease?.holder;
      if (!lease || !rival || rival === holder || lease.record.owner !== holder.address) return;
      // A third session may have taken the lease during the ping.
      if (rival.instance === holder.instance || rival === asked) return;
      asked = rival;
      if (!(await rival.alive(RIVAL_PING_MS))) continue;
      if (lease.holder !== rival) continue;
      throw new PortalError(
        'name_taken',
        `another agent with your identity serves ${lease.record.hostname}; stop it, or choose another name`,
        { retryAfterMs: RIVAL_RETRY_MS },
      );
    }
  }

  async #openPort(lease: LocalLease, reserved: Promise<void>, asked: number | undefined): Promise<void> {
    await reserved;
    const { kind } = lease.record;
    if (kind === 'tls') return;
    const port = await this.#options.ports.open(kind, lease, asked);
    this.#listensOn(lease, port);
  }

  /** Moves a held lease to another port if that is free. Visitors keep their connections. */
  async #movePort(lease: LocalLease, asked: number | undefined): Promise<void> {
    const { kind, port } = lease.record;
    if (kind === 'tls' || asked === undefined || asked === port) return;
    const moved = await this.#options.ports.move(kind, lease, asked);
    if (moved) this.#listensOn(lease, moved);
  }

  #listensOn(lease: LocalLease, port: OpenPort): void {
    // If the lease closed while its port was opening, nothing else closes the port.
    if (this.#stopped || this.#byPlace.get(lease.record.place) !== lease) return port.close();
    lease.port?.close();
    lease.port = port;
    lease.record = { ...lease.record, port: port.port };
  }

  /** `lease`, unless another session took it over meanwhile. Its opener was told then, so it gets an error now. */
  #stillOf(holder: LeaseHolder, lease: LocalLease): LocalLease {
    if (lease.holder === holder || holder.closed) return lease;
    throw new PortalError('not_found', 'the lease was closed or taken over while it was opening');
  }

  #handOver(lease: LocalLease, holder: LeaseHolder, request: FromAgent<'lease.open'>): void {
    const { kind, owner, name, hostname, isOwnDomain } = lease.record;
    if (owner !== holder.address) throw nameTaken(isOwnDomain ? hostname : name);
    const before = lease.holder;
    if (before !== holder) this.#checkRoom(holder);
    if (kind !== 'tls') this.#options.quotas.movePort(lease.network, networkOfHolder(holder));
    clearTimeout(lease.graceTimer);
    this.#held.give(lease, holder);
    lease.record = { ...lease.record, instance: holder.instance, carrier: request.carrier };
    lease.metadata = request.metadata ?? {};
    if (before && before !== holder)
      before.revoked(lease, 'taken over by a newer session of the same identity');
    if (lease.waiting.size > 0) holder.serve(lease);
  }

  #checkRoom(holder: LeaseHolder): void {
    const { maxLeasesPerSession: max, quotas } = this.#options;
    if (this.#held.of(holder).size < max) return;
    quotas.refusals.add('maxLeasesPerSession');
    throw new PortalError(
      'limit_exceeded',
      `a session may have ${max} leases on this relay (maxLeasesPerSession); close others, or use another relay`,
    );
  }

  #own(holder: LeaseHolder, id: string): LocalLease {
    const lease = this.#held.of(holder).get(id);
    if (!lease) throw new PortalError('not_found', 'no such lease in this session');
    return lease;
  }

  #expire(lease: LocalLease): void {
    if (lease.holder) return;
    this.#options.log.info({ hostname: lease.record.hostname }, 'lease expired: its agent did not return');
    this.#remove(lease);
    this.#store(lease);
  }

  async #proveDomain(kind: LeaseKind, hostname: string, holder: LeaseHolder): Promise<void> {
    if (kind !== 'tls')
      throw new PortalError('capability_missing', 'a tcp or udp service cannot have its own hostname');
    await this.#options.domains.prove(hostname, holder.address);
  }

  /** Stores the last use of a name. Logs a failure, since the lease does not depend on it. */
  #store(lease: LocalLease): void {
    lease.storedAt = Date.now();
    const { record, network, storedAt, firm } = lease;
    if (record.isOwnDomain) return;
    const user = { address: record.owner, network };
    this.#options.reservations.use(record.name, user, storedAt, firm).catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'cannot store the last use of a name');
    });
  }

  #remove(lease: LocalLease): void {
    clearTimeout(lease.graceTimer);
    this.#held.give(lease, undefined);
    const { place, kind, owner } = lease.record;
    if (this.#byPlace.get(place) === lease) {
      this.#byPlace.delete(place);
      this.#options.quotas.closeLease(owner);
      if (kind !== 'tls') this.#options.quotas.closePort(owner, lease.network);
    }
    lease.port?.close();
    lease.waiting.clear();
  }
}

function nameTaken(name: string): PortalError {
  return new PortalError('name_taken', `"${name}" is taken by another identity. ${otherName(name)}`);
}
