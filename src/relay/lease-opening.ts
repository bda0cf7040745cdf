import { randomUUID } from 'node:crypto';
import { PortalError } from '../lib/errors.js';
import { KeyedQueue } from '../lib/keyed-queue.js';
import { kindOf } from '../protocol/kind.js';
import type { FromAgent } from '../protocol/messages.js';
import { nameTaken, type LeaseClaim, type LeaseDirectory } from './directory/directory.js';
import { placeOf, type LeaseRecord } from './directory/record.js';
import { plainHostname, type DomainProofs } from './domains.js';
import type { ReservedLabels } from './labels.js';
import type { LeasesElsewhere } from './leases-elsewhere.js';
import { newLease, type OwnHolder, type LocalLease } from './lease.js';
import { networkOfHolder, type LeaseTable } from './lease-table.js';
import { hostnameFor } from './names.js';
import type { RemoteSessions } from './nodes/remote-sessions.js';
import type { PublicPorts } from './ports.js';
import type { Quotas } from './quotas.js';
import type { Reservations } from './reservations.js';
import type { ReturningAgents } from './returning-agents.js';
import { settleRival } from './rivals.js';

export interface LeaseOpeningOptions {
  readonly table: LeaseTable;
  readonly directory: LeaseDirectory;
  readonly elsewhere: LeasesElsewhere;
  readonly remote: Pick<RemoteSessions, 'of' | 'onEnd' | 'freePort' | 'cut' | 'drop'>;
  readonly returning: ReturningAgents;
  readonly reservations: Reservations;
  readonly ports: PublicPorts;
  readonly domains: DomainProofs;
  readonly labels: ReservedLabels;
  readonly quotas: Quotas;
  readonly domain: string;
  /** The name of this node's machine, for public ports. Default: the domain. */
  readonly nodeHost?: string | undefined;
  readonly maxLeasesPerSession: number;
}

type Request = FromAgent<'lease.open'>;

/** Opens leases for sessions: checks who may have a place, claims it, reserves its name, and opens its port. */
export class LeaseOpening {
  readonly #options: LeaseOpeningOptions;
  /** One opening at a time for each place, so that a request sees the result of the one before. */
  readonly #turns = new KeyedQueue();

  constructor(options: LeaseOpeningOptions) {
    this.#options = options;
  }

  /** Opens a lease for `holder`, or hands over the existing lease of its identity. */
  async open(holder: OwnHolder, request: Request): Promise<LocalLease> {
    const claim = await this.#claimOf(holder, request);
    return this.#turns.run(claim.place, () => this.#openAt(claim, holder, request));
  }

  /** What `request` asks for. Throws if this relay cannot offer it to the identity. */
  async #claimOf(holder: OwnHolder, { name, hostname: asked, mode, carrier }: Request): Promise<LeaseClaim> {
    const { ports, labels, domains, domain, nodeHost } = this.#options;
    const kind = kindOf(mode);
    if (kind !== 'tls' && !ports.offers(kind))
      throw new PortalError('capability_missing', `this relay offers no ${kind} ports`);
    const own = asked === undefined ? undefined : plainHostname(asked);
    const hostname = own ?? hostnameFor(name, domain);
    if (own === undefined) labels.check(name, holder.address);
    else if (kind !== 'tls')
      throw new PortalError('capability_missing', 'a tcp or udp service cannot have its own hostname');
    else await domains.prove(own, holder.address);
    return {
      id: randomUUID(),
      place: placeOf({ kind, hostname }),
      name,
      hostname,
      isOwnDomain: own !== undefined,
      kind,
      owner: holder.address,
      instance: holder.instance,
      portHost: kind === 'tls' ? undefined : nodeHost,
      session: holder.id,
      port: undefined,
      carrier,
    };
  }

  async #openAt(claim: LeaseClaim, holder: OwnHolder, request: Request): Promise<LocalLease> {
    const { table, elsewhere, directory } = this.#options;
    await settleRival(holder, () => table.at(claim.place) ?? elsewhere.at(claim.place));
    checkOpen(holder);
    await this.#checkName(claim, holder);
    const former = directory.lookup(claim.place);
    const lease = this.#take(
      await directory.claim({ ...claim, id: table.at(claim.place)?.record.id ?? claim.id }),
      holder,
      request,
    );
    if (former && former.node !== directory.node && former.port !== undefined)
      await this.#options.remote.freePort(former.node, claim.place, lease.record.epoch);
    if (lease.storedAt === undefined) await this.#complete(lease, holder, request);
    else await this.#movePort(lease, request.port);
    // Another session may have taken the lease meanwhile. Its opener was told then, so it gets an error now.
    if (lease.holder === holder || holder.closed) return lease;
    throw new PortalError('not_found', 'the lease was closed or taken over while it was opening');
  }

  /** Throws if another identity has the name. */
  async #checkName({ place, name, isOwnDomain }: LeaseClaim, holder: OwnHolder): Promise<void> {
    const { table, directory, reservations } = this.#options;
    const present = table.at(place)?.record ?? directory.lookup(place);
    if (present && present.owner !== holder.address) throw nameTaken(present);
    if (!present && !isOwnDomain) await reservations.check(name, userOf(holder));
  }

  /** Gives the claimed place to `holder`: the lease that is there, or a new one. */
  #take(record: LeaseRecord, holder: OwnHolder, request: Request): LocalLease {
    const { table, returning } = this.#options;
    const { place, epoch } = record;
    returning.returned(record);
    const present = table.at(place);
    try {
      checkOpen(holder);
      if (!present) return this.#begin(record, holder, request);
      this.#handOver(present, record, holder, request);
      return present;
    } catch (error) {
      // The session that has the lease keeps it.
      if (present) table.renew(present, epoch);
      else table.release(record);
      throw error;
    }
  }

  #begin(record: LeaseRecord, holder: OwnHolder, { metadata = {} }: Request): LocalLease {
    const { table, elsewhere, quotas } = this.#options;
    this.#checkRoom(holder);
    const lease = elsewhere.take(record.place) ?? newLease({ record, rate: quotas.rateOf(record.owner) });
    Object.assign(lease, { record, metadata, storedAt: undefined, firm: true, heldSince: performance.now() });
    table.add(lease, holder);
    if (lease.waiting.size > 0) holder.serve(lease);
    return lease;
  }

  #handOver(lease: LocalLease, record: LeaseRecord, holder: OwnHolder, { metadata = {} }: Request): void {
    const before = lease.holder;
    if (before !== holder) this.#checkRoom(holder);
    this.#options.table.handOver(lease, record, holder);
    clearTimeout(lease.graceTimer);
    lease.metadata = metadata;
    if (before && before !== holder)
      before.revoked(lease, 'taken over by a newer session of the same identity');
    if (lease.waiting.size > 0) holder.serve(lease);
  }

  /** Reserves the name of a new lease and opens its port. */
  async #complete(lease: LocalLease, holder: OwnHolder, request: Request): Promise<void> {
    const { table, ports } = this.#options;
    const { kind } = lease.record;
    try {
      await this.#reserve(lease, holder);
      if (kind !== 'tls') table.listen(lease, await ports.open(kind, lease, request.port));
    } catch (error) {
      table.remove(lease);
      throw error;
    }
  }

  async #reserve(lease: LocalLease, holder: OwnHolder): Promise<void> {
    const now = Date.now();
    const { name, isOwnDomain } = lease.record;
    if (isOwnDomain) {
      lease.storedAt = now;
      return;
    }
    const { usedAt, firm } = await this.#options.reservations.claim(name, userOf(holder), now);
    Object.assign(lease, { storedAt: usedAt, firm });
  }

  /** Moves a held lease to another port if that is free. Visitors keep their connections. */
  async #movePort(lease: LocalLease, asked: number | undefined): Promise<void> {
    const { table, ports } = this.#options;
    const { kind, port } = lease.record;
    if (kind === 'tls' || asked === undefined || asked === port) return;
    const moved = await ports.move(kind, lease, asked);
    if (moved) table.listen(lease, moved);
  }

  #checkRoom(holder: OwnHolder): void {
    const { table, maxLeasesPerSession: max, quotas } = this.#options;
    if (table.of(holder).size < max) return;
    quotas.refusals.add('maxLeasesPerSession');
    throw new PortalError(
      'limit_exceeded',
      `a session may have ${max} leases on this relay (maxLeasesPerSession); close others, or use another relay`,
    );
  }
}

const userOf = (holder: OwnHolder) => ({ address: holder.address, network: networkOfHolder(holder) });

function checkOpen(holder: OwnHolder): void {
  if (holder.closed) throw new PortalError('aborted', 'the session ended while its lease was opening');
}
