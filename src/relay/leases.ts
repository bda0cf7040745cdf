import { otherName } from './other-name.js';
import { PortalError } from '../lib/errors.js';
import type { Logger } from '../lib/logger.js';
import { networkOf } from '../net/cidr.js';
import { kindOf, type LeaseKind } from '../protocol/kind.js';
import type { FromAgent } from '../protocol/messages.js';
import { plainHostname, type DomainProofs } from './domains.js';
import { newLease, placeOf, type Lease, type LeaseHolder } from './lease.js';
import type { ReservedLabels } from './labels.js';
import { hostnameFor, nameOf, plainAddress } from './names.js';
import type { OpenPort, PublicPorts } from './ports.js';
import type { Quotas } from './quotas.js';
import type { Reservations } from './reservations.js';

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

/** How long the present holder of a name is given to show that it is alive when a sibling asks for it. */
const RIVAL_PING_MS = 1_000;
const RIVAL_RETRY_MS = 5_000;

/** Owns every lease of the relay: who holds which hostname, who may have it, and for how long it is kept. */
export class LeaseRegistry {
  /** Every lease, by the place it takes: a hostname, or a name among those with ports of that kind. */
  readonly #byPlace = new Map<string, Lease>();
  /** By session and lease id; written by #give alone, together with `lease.holder`. */
  readonly #held = new Map<LeaseHolder, Map<string, Lease>>();
  readonly #options: LeaseRegistryOptions;
  #agentsReturnUntil = 0;
  /** Hostnames whose agents were here already since the start. */
  readonly #returned = new Set<string>();
  #stopped = false;

  constructor(options: LeaseRegistryOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byPlace.size;
  }

  /** How many of each kind there are, and how many of all wait for their agent. */
  get sizes(): Readonly<Record<LeaseKind | 'away', number>> {
    const sizes = { tls: 0, tcp: 0, udp: 0, away: 0 };
    for (const { kind, holder } of this.#byPlace.values()) {
      sizes[kind]++;
      if (!holder) sizes.away++;
    }
    return sizes;
  }

  /** The lease that visitors of `hostname` are for. */
  find(hostname: string): Lease | undefined {
    return this.#byPlace.get(hostname);
  }

  /** The relay was started: agents that knew the one before come back within the grace of that one. */
  start(): void {
    this.#agentsReturnUntil = performance.now() + this.#options.graceMs;
  }

  /**
   * After a start agents are on their way back: a lease for visitors of a name that is reserved, as if its agent were away
   * for a moment. Undefined where nobody is to be waited for.
   */
  expect(hostname: string): Lease | undefined {
    const { reservations, quotas, domain } = this.#options;
    const leftMs = this.#agentsReturnUntil - performance.now();
    const name = nameOf(hostname, domain);
    if (leftMs <= 0 || this.#stopped || name === undefined || this.#returned.has(hostname)) return undefined;
    const reservation = reservations.current(name);
    if (!reservation) return undefined;
    try {
      quotas.openLease(reservation.address);
    } catch {
      return undefined;
    }
    const lease = newLease({
      name,
      hostname,
      isOwnDomain: false,
      kind: 'tls',
      address: reservation.address,
      // The one that every agent may use, whatever it will ask for.
      carrier: 'tls',
      rate: quotas.rateOf(reservation.address),
      storedAt: reservation.usedAt,
      firm: reservations.isFirm(reservation),
      opened: Promise.resolve(),
    });
    this.#byPlace.set(placeOf(lease), lease);
    // Nothing is stored of it: a visitor is no use of a name.
    lease.graceTimer = setTimeout(() => this.#remove(lease), leftMs).unref();
    return lease;
  }

  /** Opens a lease for `holder`, or hands it the one its identity has already. */
  async open(holder: LeaseHolder, request: FromAgent<'lease.open'>): Promise<Lease> {
    const { name } = request;
    const kind = kindOf(request.mode);
    if (kind !== 'tls' && !this.#options.ports.offers(kind))
      throw new PortalError('capability_missing', `this relay gives out no ${kind} ports`);
    const ownHostname = request.hostname === undefined ? undefined : plainHostname(request.hostname);
    const hostname = ownHostname ?? hostnameFor(name, this.#options.domain);
    if (ownHostname === undefined) this.#options.labels.check(name, holder.address);
    if (ownHostname !== undefined) await this.#proveDomain(kind, ownHostname, holder);
    const place = placeOf({ kind, hostname });
    await this.#settleRival(holder, place);
    if (holder.closed) throw new PortalError('aborted', 'the session ended while its lease was opening');
    if (kind === 'tls' && performance.now() < this.#agentsReturnUntil) this.#returned.add(hostname);
    const present = this.#byPlace.get(place);
    if (present) {
      this.#handOver(present, holder, request);
      // Whoever asked for it first may still be waiting for the disk.
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
    // Claimed before the first await, so that of two racing requests one sees the other.
    const now = Date.now();
    const claim =
      ownHostname === undefined
        ? reservations.claim(name, user, now)
        : { usedAt: now, firm: true, stored: Promise.resolve() };
    const lease = newLease({
      name,
      hostname,
      isOwnDomain: ownHostname !== undefined,
      kind,
      address: holder.address,
      carrier: request.carrier,
      ...(request.metadata && { metadata: request.metadata }),
      rate: quotas.rateOf(holder.address),
      storedAt: claim.usedAt,
      firm: claim.firm,
      opened: claim.stored,
    });
    this.#byPlace.set(place, lease);
    this.#give(lease, holder);
    lease.opened = this.#openPort(lease, lease.opened, request.port);
    try {
      await lease.opened;
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
    const before = Date.now() - this.#options.reservations.refreshMs;
    for (const lease of this.#byPlace.values()) if (lease.storedAt <= before) this.#store(lease);
  }

  /** Names that were held for long enough stay reserved from now on: called now and then. */
  confirm(): void {
    const before = performance.now() - this.#options.reserveAfterMs;
    for (const lease of this.#byPlace.values()) {
      if (lease.firm || lease.heldSince > before) continue;
      lease.firm = true;
      this.#store(lease);
    }
  }

  /** Whether `port` is that of a lease of mode tcp which `holder` has. */
  listensFor(holder: LeaseHolder, port: number): boolean {
    for (const lease of this.#held.get(holder)?.values() ?? [])
      if (lease.kind === 'tcp' && lease.port?.port === port) return true;
    return false;
  }

  /** Leases of hostnames that rest on a proof. */
  withOwnDomains(): Lease[] {
    return [...this.#byPlace.values()].filter(({ isOwnDomain }) => isOwnDomain);
  }

  /** Ends a lease, and tells its agent why. */
  revoke(lease: Lease, reason: string): void {
    if (this.#byPlace.get(placeOf(lease)) !== lease) return;
    const { holder, hostname } = lease;
    this.#options.log.info({ hostname, reason }, 'lease revoked');
    this.#remove(lease);
    holder?.revoked(lease, reason);
  }

  /** Ends every lease that `matches`, its visitors included; those that wait for their agent as well. Their names stay reserved. */
  removeWhere(matches: (lease: Lease) => boolean): void {
    for (const lease of this.#byPlace.values()) {
      if (!matches(lease)) continue;
      this.#remove(lease);
      lease.traffic.cut();
    }
  }

  all(): Iterable<Lease> {
    return this.#byPlace.values();
  }

  /** Ends every lease of one agent, its visitors' connections included. Their names stay reserved. */
  endOf(identity: string, instance: string): void {
    for (const lease of this.#byPlace.values()) {
      if (lease.address !== identity || lease.instance !== instance) continue;
      this.#remove(lease);
      this.#store(lease);
      lease.traffic.cut();
    }
  }

  /**
   * Gives up a name that `identity` has reserved, with its ports: it is anybody's from then on. A lease that waits for its
   * agent ends. Throws `name_in_use` while an agent serves it, and `not_found` where it is not reserved for this identity.
   */
  async release(identity: string, name: string): Promise<void> {
    const leases = [...this.#byPlace.values()].filter(
      (lease) => lease.address === identity && lease.name === name && !lease.isOwnDomain,
    );
    if (leases.some(({ holder }) => holder))
      throw new PortalError(
        'name_in_use',
        `"${name}" is served by an agent now; stop it or disconnect it first, then release the name`,
      );
    for (const lease of leases) this.#remove(lease);
    if (await this.#options.reservations.release(name, identity)) return;
    throw new PortalError('not_found', `"${name}" is not reserved for your identity on this relay`);
  }

  /** Gives up the public ports of all leases; visitors who are connected stay. */
  stopListening(): void {
    this.#stopped = true;
    for (const lease of this.#byPlace.values()) lease.port?.close();
  }

  clear(): void {
    for (const lease of this.#byPlace.values()) this.#remove(lease);
  }

  /**
   * Another live session of the same identity may hold the name: another machine, or this one's own past that
   * the relay has not seen die yet. It is asked; only one that answers keeps the name.
   */
  async #settleRival(holder: LeaseHolder, place: string): Promise<void> {
    for (let asked: LeaseHolder | undefined; ;) {
      const lease = this.#byPlace.get(place);
      const rival = lease?.holder;
      if (!lease || !rival || rival === holder || lease.address !== holder.address) return;
      // While the last one was asked, a third may have come to hold it.
      if (rival.instance === holder.instance || rival === asked) return;
      asked = rival;
      if (!(await rival.alive(RIVAL_PING_MS))) continue;
      if (lease.holder !== rival) continue;
      throw new PortalError(
        'name_taken',
        `another agent with your identity serves ${lease.hostname}; stop it, or choose another name`,
        { retryAfterMs: RIVAL_RETRY_MS },
      );
    }
  }

  async #openPort(lease: Lease, reserved: Promise<void>, asked: number | undefined): Promise<void> {
    await reserved;
    if (lease.kind === 'tls') return;
    const port = await this.#options.ports.open(lease.kind, lease, asked);
    this.#listensOn(lease, port);
  }

  /** Another port for a lease that is held, if it is free; its visitors keep their connections. */
  async #movePort(lease: Lease, asked: number | undefined): Promise<void> {
    const { kind, port } = lease;
    if (kind === 'tls' || asked === undefined || asked === port?.port) return;
    const moved = await this.#options.ports.move(kind, lease, asked);
    if (moved) this.#listensOn(lease, moved);
  }

  #listensOn(lease: Lease, port: OpenPort): void {
    // Closed while its port was being opened: nobody else would close that.
    if (this.#stopped || this.#byPlace.get(placeOf(lease)) !== lease) return port.close();
    lease.port?.close();
    lease.port = port;
  }

  /** `lease`, unless it changed hands while its opener waited: it has been told so, and must not hear of it again. */
  #stillOf(holder: LeaseHolder, lease: Lease): Lease {
    if (lease.holder === holder || holder.closed) return lease;
    throw new PortalError('not_found', 'the lease was closed or taken over while it was opening');
  }

  #handOver(lease: Lease, holder: LeaseHolder, request: FromAgent<'lease.open'>): void {
    if (lease.address !== holder.address) throw nameTaken(lease.isOwnDomain ? lease.hostname : lease.name);
    const before = lease.holder;
    if (before !== holder) this.#checkRoom(holder);
    if (lease.kind !== 'tls') this.#options.quotas.movePort(lease.network, networkOfHolder(holder));
    clearTimeout(lease.graceTimer);
    this.#give(lease, holder);
    lease.carrier = request.carrier;
    lease.metadata = request.metadata ?? {};
    if (before && before !== holder)
      before.revoked(lease, 'taken over by a newer session of the same identity');
    if (lease.waiting.size > 0) holder.serve(lease);
  }

  #checkRoom(holder: LeaseHolder): void {
    const { maxLeasesPerSession: max, quotas } = this.#options;
    if ((this.#held.get(holder)?.size ?? 0) < max) return;
    quotas.refusals.add('maxLeasesPerSession');
    throw new PortalError(
      'limit_exceeded',
      `a session may hold ${max} leases on this relay (maxLeasesPerSession); close others, or use another relay`,
    );
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
    lease.instance = holder.instance;
    lease.network = networkOfHolder(holder);
    lease.agentAddress = holder.remoteAddress;
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

  async #proveDomain(kind: Lease['kind'], hostname: string, holder: LeaseHolder): Promise<void> {
    if (kind !== 'tls')
      throw new PortalError(
        'capability_missing',
        'a service with a port of its own has no hostname of its own',
      );
    await this.#options.domains.prove(hostname, holder.address);
  }

  /** Notes the last use of a name. That it fails is the operator's trouble; the agent's lease does not depend on it. */
  #store(lease: Lease): void {
    lease.storedAt = Date.now();
    if (lease.isOwnDomain) return;
    this.#options.reservations.use(lease.name, lease, lease.storedAt, lease.firm).catch((error: unknown) => {
      this.#options.log.error({ err: error }, 'the last use of a name could not be stored');
    });
  }

  #remove(lease: Lease): void {
    clearTimeout(lease.graceTimer);
    this.#give(lease, undefined);
    if (this.#byPlace.get(placeOf(lease)) === lease) {
      this.#byPlace.delete(placeOf(lease));
      this.#options.quotas.closeLease(lease.address);
      if (lease.kind !== 'tls') this.#options.quotas.closePort(lease.address, lease.network);
    }
    lease.port?.close();
    lease.waiting.clear();
  }
}

/** As limits count the address of its agent. */
const networkOfHolder = ({ remoteAddress }: LeaseHolder): string => networkOf(plainAddress(remoteAddress));

function nameTaken(name: string): PortalError {
  return new PortalError('name_taken', `"${name}" is taken by another identity. ${otherName(name)}`);
}
