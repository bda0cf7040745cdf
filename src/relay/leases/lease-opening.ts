import { randomUUID } from 'node:crypto';
import { PortalError } from '../../lib/errors.js';
import { KeyedQueue } from '../../lib/keyed-queue.js';
import type { Logger } from '../../lib/logger.js';
import { delay } from '../../lib/wait.js';
import { kindOf } from '../../protocol/kind.js';
import type { FromAgent } from '../../protocol/messages.js';
import { nameTaken, type LeaseClaim, type LeaseDirectory } from '../directory/directory.js';
import {
  displaces,
  placeOf,
  publicPlaceOf,
  replicaPlaceOf,
  type LeaseRecord,
  type ReplicaState,
} from '../directory/record.js';
import { plainHostname, type DomainProofs } from '../names/domains.js';
import type { ReservedLabels } from '../names/labels.js';
import type { LeasesElsewhere } from './leases-elsewhere.js';
import { newLease, type OwnHolder, type LocalLease } from './lease.js';
import { networkOfHolder, type LeaseTable } from './lease-table.js';
import { hostnameFor } from '../names/names.js';
import type { RemoteSessions } from '../nodes/remote-sessions.js';
import type { PortKind, PublicPorts } from './ports.js';
import type { Quotas } from '../protection/quotas.js';
import type { Reservations } from '../names/reservations.js';
import type { ReturningAgents } from '../sessions/returning-agents.js';
import { settleRivals } from './rivals.js';

export interface LeaseOpeningOptions {
  readonly table: LeaseTable;
  readonly directory: LeaseDirectory;
  readonly elsewhere: LeasesElsewhere;
  readonly remote: Pick<RemoteSessions, 'of' | 'onEnd' | 'noMoreVisits' | 'freePort' | 'cut' | 'drop'>;
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
  readonly log: Logger;
  /** Call when a session of this node opened a lease. */
  readonly onOpened: (lease: LocalLease) => void;
  /** Call when a lease ended whose visitors are in the queue. Empties the queue. */
  readonly onOrphaned: (lease: LocalLease) => void;
}

/** Attempts to open a port that another process may still be closing. */
const LISTEN_ATTEMPTS = 50;
const LISTEN_PAUSE_MS = 200;

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
    return this.#turns.run(publicPlaceOf(claim.place), () => this.#openAt(claim, holder, request));
  }

  /** What `request` asks for. Throws if this relay cannot offer it to the identity. */
  async #claimOf(
    holder: OwnHolder,
    { name, hostname: asked, mode, carrier, replicas }: Request,
  ): Promise<LeaseClaim> {
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
    const publicPlace = placeOf({ kind, hostname });
    return {
      id: randomUUID(),
      place: replicas ? replicaPlaceOf(publicPlace, holder.instance) : publicPlace,
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
      ...(replicas && { replica: replicaStateOf(replicas) }),
    };
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
    else await this.#movePort(lease, request.port);
    // Another session may have taken the lease meanwhile. Its opener was told then, so it gets an error now.
    if (lease.holder === holder || holder.closed) return lease;
    throw new PortalError('not_found', 'the lease was closed or taken over while it was opening');
  }

  /** Throws if another identity has the name. */
  async #checkName({ place, name, isOwnDomain }: LeaseClaim, holder: OwnHolder): Promise<void> {
    const { table, directory, reservations } = this.#options;
    const at = publicPlaceOf(place);
    const present = [...table.allAt(at).map(({ record }) => record), ...directory.at(at)];
    const other = present.find(({ owner }) => owner !== holder.address);
    if (other) throw nameTaken(other);
    if (present.length === 0 && !isOwnDomain) await reservations.check(name, userOf(holder));
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
      const shared = kind !== 'tls' && this.#listener(publicPlaceOf(lease.record.place));
      if (shared) table.share(lease, shared);
      else if (kind !== 'tls') table.listen(lease, await ports.open(kind, lease, request.port));
    } catch (error) {
      table.remove(lease);
      throw error;
    }
  }

  /** The replica whose node listens on the public port for all of them. */
  #listener(publicPlace: string): LeaseRecord | undefined {
    const { table, directory } = this.#options;
    const here = table.allAt(publicPlace).find(({ port }) => port);
    const elsewhere = directory
      .at(publicPlace)
      .find(({ replica, node }) => replica?.listens && node !== directory.node);
    return here?.record ?? elsewhere;
  }

  /** Call when the replicas of a public place changed. Listens here if the node that did so has left. */
  settlePort(publicPlace: string): void {
    if (this.#guestAt(publicPlace)) void this.#turns.run(publicPlace, () => this.#listenAgain(publicPlace));
  }

  /** A replica here whose public port no node has open. */
  #guestAt(publicPlace: string): LocalLease | undefined {
    const guest = this.#options.table.allAt(publicPlace).find(({ record }) => record.replica && record.port);
    return guest && !this.#listener(publicPlace) ? guest : undefined;
  }

  /** Another process may still be closing the port. */
  async #listenAgain(publicPlace: string): Promise<void> {
    const { table, ports, log } = this.#options;
    for (let attempt = 0; attempt < LISTEN_ATTEMPTS; attempt++) {
      const lease = this.#guestAt(publicPlace);
      if (!lease || table.stopped) return;
      const { kind, port } = lease.record;
      const opened = await ports.move(kind as PortKind, lease, port!).catch(() => undefined);
      if (opened) return table.listen(lease, opened);
      await delay(LISTEN_PAUSE_MS);
    }
    log.error({ place: publicPlace }, 'cannot listen on the public port of a replica that ended');
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
    // Other replicas use it.
    if (table.allAt(publicPlaceOf(lease.record.place)).length > 1) return;
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

const replicaStateOf = ({ policy, healthy = true }: NonNullable<Request['replicas']>): ReplicaState => ({
  policy,
  healthy,
  probing: false,
  validating: false,
  listens: false,
});

/** Whether a claim leaves a record of the same owner at its public place. */
const sharesWith = (claim: LeaseClaim, record: LeaseRecord): boolean =>
  record.place !== claim.place && !displaces(claim, record);

const userOf = (holder: OwnHolder) => ({ address: holder.address, network: networkOfHolder(holder) });

function checkOpen(holder: OwnHolder): void {
  if (holder.closed) throw new PortalError('aborted', 'the session ended while its lease was opening');
}
