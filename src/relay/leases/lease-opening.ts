import { PortalError } from '../../lib/errors.js';
import type { KeyedQueue } from '../../lib/keyed-queue.js';
import type { FromAgent } from '../../protocol/messages.js';
import { nameTaken, type LeaseClaim, type LeaseDirectory } from '../directory/directory.js';
import { displaces, publicPlaceOf, type LeaseRecord } from '../directory/record.js';
import type { RemoteSessions } from '../nodes/remote-sessions.js';
import type { Quotas } from '../protection/quotas.js';
import type { ReturningAgents } from '../sessions/returning-agents.js';
import { newLease, type OwnHolder, type LocalLease } from './lease.js';
import type { LeaseClaims } from './lease-claims.js';
import type { LeasePorts } from './lease-ports.js';
import type { LeaseTable } from './lease-table.js';
import type { LeasesElsewhere } from './leases-elsewhere.js';
import type { NameUses } from './name-uses.js';
import { settleRivals } from './rivals.js';

export interface LeaseOpeningOptions {
  readonly claims: LeaseClaims;
  readonly table: LeaseTable;
  readonly directory: LeaseDirectory;
  readonly elsewhere: LeasesElsewhere;
  readonly remote: Pick<RemoteSessions, 'freePort'>;
  readonly returning: ReturningAgents;
  readonly names: NameUses;
  readonly leasePorts: LeasePorts;
  readonly quotas: Quotas;
  readonly maxLeasesPerSession: number;
  /** One opening at a time for each public place, so that a request sees the result of the one before. */
  readonly turns: KeyedQueue;
  /** Call when a session of this node opened a lease. */
  readonly onOpened: (lease: LocalLease) => void;
  /** Call when a lease ended whose visitors are in the queue. Empties the queue. */
  readonly onOrphaned: (lease: LocalLease) => void;
}

type Request = FromAgent<'lease.open'>;

/** Opens leases for sessions: checks who may have a place, claims it, reserves its name, and opens its port. */
export class LeaseOpening {
  readonly #options: LeaseOpeningOptions;

  constructor(options: LeaseOpeningOptions) {
    this.#options = options;
  }

  /** Opens a lease for `holder`, or hands over the existing lease of its identity. */
  async open(holder: OwnHolder, request: Request): Promise<LocalLease> {
    const { claims, turns } = this.#options;
    const claim = await claims.of(holder, request);
    return turns.run(publicPlaceOf(claim.place), () => this.#openAt(claim, holder, request));
  }

  async #openAt(claim: LeaseClaim, holder: OwnHolder, request: Request): Promise<LocalLease> {
    const { table, elsewhere, directory } = this.#options;
    const at = publicPlaceOf(claim.place);
    const all = (): LocalLease[] => [...table.allAt(at), ...elsewhere.allAt(at)];
    await settleRivals(holder, () => all().filter(({ record }) => !sharesWith(claim, record)));
    checkOpen(holder);
    await this.#checkName(claim, holder);
    const former = directory.at(at).filter((record) => !sharesWith(claim, record));
    const id = this.#idOf(claim, former);
    const lease = this.#take(await directory.claim({ ...claim, id }), holder, request);
    await this.#freePorts(former, lease);
    if (lease.storedAt === undefined) await this.#complete(lease, holder, request);
    else await this.#options.leasePorts.move(lease, request.port);
    // Another session may have taken the lease meanwhile. Its opener was told then, so it gets an error now.
    if (lease.holder === holder || holder.closed) return lease;
    throw new PortalError('not_found', 'the lease was closed or taken over while it was opening');
  }

  /** Throws if another identity has the name. */
  async #checkName({ place, name, isOwnDomain }: LeaseClaim, holder: OwnHolder): Promise<void> {
    const { table, directory, names } = this.#options;
    const at = publicPlaceOf(place);
    const present = [...table.allAt(at).map(({ record }) => record), ...directory.at(at)];
    const other = present.find(({ owner }) => owner !== holder.address);
    if (other) throw nameTaken(other);
    if (present.length === 0 && !isOwnDomain) await names.check(name, holder);
  }

  /** The lease of this node that a claim continues: the one at its place, or one that it displaces. */
  #present(claim: Pick<LeaseRecord, 'place' | 'instance'>): LocalLease | undefined {
    const { table } = this.#options;
    const others = this.#displaced(claim);
    return (
      table.at(claim.place) ??
      others.find(({ record }) => record.instance === claim.instance) ??
      others.find(({ holder }) => !holder)
    );
  }

  /**
   * The id of the lease that a claim continues. It stays when an agent moves to another node: visits under it may still be on
   * their way to the agent.
   */
  #idOf(claim: LeaseClaim, former: readonly LeaseRecord[]): string {
    const before = this.#present(claim)?.record ?? former.find(({ instance }) => instance === claim.instance);
    return before?.id ?? claim.id;
  }

  #displaced(claim: Pick<LeaseRecord, 'place'>): LocalLease[] {
    const all = this.#options.table.allAt(publicPlaceOf(claim.place));
    return all.filter(({ record }) => displaces(claim, record));
  }

  /** Gives the claimed place to `holder`: the lease that is there, or a new one. */
  #take(record: LeaseRecord, holder: OwnHolder, request: Request): LocalLease {
    const { table, returning } = this.#options;
    const { place, epoch } = record;
    returning.returned(record);
    const present = this.#present(record);
    let lease = present;
    try {
      checkOpen(holder);
      if (present) this.#handOver(present, record, holder, request);
      else lease = this.#begin(record, holder, request);
    } catch (error) {
      // The session that has the lease keeps it.
      if (present?.record.place === place) table.renew(present, epoch);
      else table.release(record);
      throw error;
    } finally {
      for (const other of this.#displaced(record)) {
        const { holder: before } = other;
        table.surrender(other);
        before?.revoked(other, 'taken over by another agent of the same identity');
        this.#options.onOrphaned(other);
      }
    }
    this.#options.onOpened(lease!);
    return lease!;
  }

  /** Waits until the other nodes whose leases a claim ended have closed their ports. */
  async #freePorts(former: readonly LeaseRecord[], lease: LocalLease): Promise<void> {
    const { directory, remote } = this.#options;
    const elsewhere = former.filter(({ node, port }) => node !== directory.node && port !== undefined);
    for (const { node, place } of elsewhere) await remote.freePort(node, place, lease.record.epoch);
  }

  #begin(record: LeaseRecord, holder: OwnHolder, { metadata = {} }: Request): LocalLease {
    const { table, elsewhere, names, quotas } = this.#options;
    this.#checkRoom(holder);
    const lease = elsewhere.take(record.place) ?? newLease({ record, rate: quotas.rateOf(record.owner) });
    Object.assign(lease, { record, metadata });
    names.begin(lease);
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
    const { table, names, leasePorts } = this.#options;
    try {
      await names.reserve(lease, holder);
      await leasePorts.open(lease, request.port);
    } catch (error) {
      table.remove(lease);
      throw error;
    }
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

/** Whether a claim leaves a record of the same owner at its public place. */
const sharesWith = (claim: LeaseClaim, record: LeaseRecord): boolean =>
  record.place !== claim.place && !displaces(claim, record);

function checkOpen(holder: OwnHolder): void {
  if (holder.closed) throw new PortalError('aborted', 'the session ended while its lease was opening');
}
