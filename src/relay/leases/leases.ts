import { randomUUID } from 'node:crypto';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { LEASE_KINDS, type LeaseKind } from '../../protocol/kind.js';
import type { FromAgent } from '../../protocol/messages.js';
import type { LeaseChange } from '../directory/directory.js';
import {
  displaces,
  placeOf,
  publicPlaceOf,
  type LeaseRecord,
  type ReplicaState,
} from '../directory/record.js';
import { newLease, type OwnHolder, type LocalLease } from './lease.js';
import { LeasesElsewhere } from './leases-elsewhere.js';
import { LeaseOpening, type LeaseOpeningOptions } from './lease-opening.js';
import { LeaseTable } from './lease-table.js';
import { nameOf } from '../names/names.js';
import { Replicas, type VisitorTraits } from './replicas.js';
import { ReturningAgents } from '../sessions/returning-agents.js';
import type { VisitorGate } from '../visitors/visitors.js';

export interface LeaseRegistryOptions extends Omit<
  LeaseOpeningOptions,
  'table' | 'returning' | 'elsewhere' | 'onOpened' | 'onOrphaned'
> {
  /** Where visitors wait. */
  readonly queues: Pick<VisitorGate, 'move' | 'onStalled' | 'onUnanswered'>;
  readonly graceMs: number;
  readonly reserveAfterMs: number;
  readonly log: Logger;
}

/** How long other nodes may take to hear that a lease was closed. Its agent waits for twice as long. */
const HEARD_MS = 1_000;

/** The leases of this process: which session holds which hostname, which identity may have it, and for how long. */
export class LeaseRegistry {
  readonly #table: LeaseTable;
  readonly #returning = new ReturningAgents();
  readonly #elsewhere: LeasesElsewhere;
  readonly #opening: LeaseOpening;
  readonly #replicas: Replicas;
  readonly #options: LeaseRegistryOptions;
  readonly #unwatch: () => void;

  constructor(options: LeaseRegistryOptions) {
    this.#options = options;
    const onOrphaned = (lease: LocalLease): void => this.#orphaned(lease);
    this.#table = new LeaseTable({ ...options, onOrphaned });
    this.#elsewhere = new LeasesElsewhere({
      ...options,
      holderOf: (session) => options.remote.of(session),
      onHolderLost: (lease) => this.#settle(lease.record.place),
      onOrphaned,
    });
    this.#replicas = new Replicas({
      ...options,
      leaseAt: (place) => this.#table.at(place) ?? this.#elsewhere.at(place),
      move: (visitor, lease) => options.queues.move(visitor, lease),
    });
    options.queues.onUnanswered(({ lease: { record }, validates }) =>
      this.find(publicPlaceOf(record.place), { validates }),
    );
    options.queues.onStalled((lease) => this.#replicas.stalled(lease, publicPlaceOf(lease.record.place)));
    this.#opening = new LeaseOpening({
      ...options,
      onOpened: (lease) => this.#settle(lease.record.place),
      onOrphaned,
      table: this.#table,
      elsewhere: this.#elsewhere,
      returning: this.#returning,
    });
    this.#unwatch = options.directory.watch((change) => this.#heard(change));
    options.remote.onEnd((session) => this.#elsewhere.lost(session));
  }

  get size(): number {
    return this.#table.size;
  }

  /** Number of leases of each kind; `away`: leases whose agent is disconnected. */
  get sizes(): Readonly<Record<LeaseKind | 'away', number>> {
    return this.#table.sizes;
  }

  /** The lease for a new visitor of a public place, at this node or another one. */
  find(publicPlace: string, traits?: VisitorTraits): LocalLease | undefined {
    return (
      this.#table.at(publicPlace) ??
      this.#elsewhere.at(publicPlace) ??
      this.#replicas.choose(publicPlace, traits)
    );
  }

  /** The same, but only at this node: datagrams of a public port reach no agents of other nodes. */
  findHere(publicPlace: string, traits?: VisitorTraits): LocalLease | undefined {
    return (
      this.#table.at(publicPlace) ??
      this.#replicas.choose(publicPlace, traits, this.#table.allAt(publicPlace))
    );
  }

  /** Whether a lease serves `hostname`, at this node or another one. */
  serves(hostname: string): boolean {
    return this.#options.directory.at(hostname).length > 0 || this.#table.at(hostname) !== undefined;
  }

  /** The traffic of visitors here, of leases that other nodes serve, by place. */
  trafficElsewhere(places: readonly string[]): ReturnType<LeasesElsewhere['traffic']> {
    return this.#elsewhere.traffic(places);
  }

  /** The records of a public place, of any node. */
  recordsAt(publicPlace: string): readonly LeaseRecord[] {
    return this.#options.directory.at(publicPlace);
  }

  /** The lease at a place, if this node serves it. */
  own(place: string): LocalLease | undefined {
    return this.#table.at(place);
  }

  /** The lease at a place, if another node serves it. */
  elsewhere(place: string): LocalLease | undefined {
    return this.#elsewhere.at(place);
  }

  /** Call when the relay starts: agents of the previous process reconnect within `graceMs`. */
  async start(): Promise<void> {
    const { reservations, graceMs } = this.#options;
    this.#returning.start(graceMs, await reservations.current());
  }

  /**
   * A lease for visitors of a reserved name whose agent has not reconnected since the start. They wait as if the agent had
   * disconnected a moment ago. Undefined if no agent is expected.
   */
  expect(hostname: string): LocalLease | undefined {
    const { directory, reservations, quotas, domain } = this.#options;
    const name = nameOf(hostname, domain);
    const expected = name === undefined ? undefined : this.#returning.of(name);
    if (name === undefined || !expected || this.#table.stopped) return undefined;
    const { reservation, leftMs } = expected;
    if (!reservations.holds(reservation)) return undefined;
    const owner = reservation.address;
    const lease = newLease({
      record: {
        id: randomUUID(),
        place: hostname,
        name,
        hostname,
        isOwnDomain: false,
        kind: 'tls',
        owner,
        instance: undefined,
        portHost: undefined,
        node: directory.node,
        session: undefined,
        // Claimed when the agent returns, which may be at another node.
        epoch: 0,
        port: undefined,
        // The carrier that every agent can use, whatever it requests later.
        carrier: 'tls',
      },
      rate: quotas.rateOf(owner),
      storedAt: reservation.usedAt,
      firm: reservations.isFirm(reservation),
    });
    try {
      this.#table.add(lease, undefined);
    } catch {
      return undefined;
    }
    // Stores nothing: a visit does not count as use of the name.
    lease.graceTimer = setTimeout(() => this.#table.remove(lease), leftMs).unref();
    return lease;
  }

  /** Opens a lease for `holder`, or hands over the existing lease of its identity. */
  open(holder: OwnHolder, request: FromAgent<'lease.open'>): Promise<LocalLease> {
    return this.#opening.open(holder, request);
  }

  /** Closes one lease of `holder`. Its name stays reserved. Resolves when no other node sends `holder` its visitors any more. */
  async close(holder: OwnHolder, id: string): Promise<void> {
    const lease = this.#own(holder, id);
    this.#table.remove(lease);
    void this.#store(lease);
    await this.#options.remote.noMoreVisits(lease.record, HEARD_MS);
  }

  update(holder: OwnHolder, id: string, metadata: Record<string, string>): void {
    this.#own(holder, id).metadata = metadata;
  }

  /** Notes what an agent says of its replica. */
  setReplica(holder: OwnHolder, id: string, changes: Partial<ReplicaState>): void {
    const lease = this.#own(holder, id);
    const { replica, place } = lease.record;
    if (!replica) return;
    if (changes.validating) this.#checkNoOtherValidates(lease);
    this.#table.setReplica(lease, { ...replica, ...changes });
    this.#settle(place);
  }

  /** Call when a session ends: its leases wait `graceMs` for their identity to return. */
  detach(holder: OwnHolder): void {
    for (const lease of this.#table.of(holder).values()) {
      this.#table.detach(lease);
      lease.graceTimer = setTimeout(() => this.#expire(lease), this.#options.graceMs);
      lease.graceTimer.unref();
      this.#settle(lease.record.place);
    }
  }

  /** Stores the last use of names, so that a name in use never expires. Called periodically. */
  refresh(): void {
    const before = Date.now() - this.#options.reservations.refreshMs;
    for (const lease of this.#table.all())
      if (lease.storedAt !== undefined && lease.storedAt <= before) void this.#store(lease);
  }

  /**
   * Marks names that were held long enough as reserved. Called every `everyMs`. The reservation of the first use must not end
   * before the next call, since another identity could get the name then.
   */
  confirm(everyMs: number): void {
    const before = performance.now() - this.#options.reserveAfterMs + everyMs;
    for (const lease of this.#table.all()) {
      if (lease.firm || lease.heldSince > before) continue;
      lease.firm = true;
      // The next call tries again.
      void this.#store(lease).then((isStored) => (lease.firm = isStored));
    }
  }

  /** Whether `holder` has a lease of mode tcp with this port. */
  listensFor(holder: OwnHolder, port: number): boolean {
    for (const { record } of this.#table.of(holder).values())
      if (record.kind === 'tcp' && record.port === port) return true;
    return false;
  }

  /** Leases of hostnames outside the relay's domain. */
  withOwnDomains(): LocalLease[] {
    return [...this.#table.all()].filter(({ record }) => record.isOwnDomain);
  }

  /** Ends a lease and tells its agent why. */
  revoke(lease: LocalLease, reason: string): void {
    if (!this.#table.has(lease)) return;
    const { holder, record } = lease;
    this.#options.log.info({ hostname: record.hostname, reason }, 'lease revoked');
    this.#table.remove(lease);
    holder?.revoked(lease, reason);
  }

  /** Ends every matching lease and its visitors' connections, with or without an agent. The names stay reserved. */
  removeWhere(matches: (lease: LocalLease) => boolean): void {
    for (const lease of this.#table.all()) {
      if (!matches(lease)) continue;
      this.#cut(lease);
      this.#table.remove(lease);
    }
  }

  /** Disconnects the visitors of a lease that another node has. */
  cutElsewhere(place: string): void {
    this.#elsewhere.cut(place);
  }

  /** Ends a lease that waits for its agent. */
  drop(place: string): void {
    const lease = this.#table.at(place);
    if (lease && !lease.holder) this.#table.remove(lease);
  }

  all(): Iterable<LocalLease> {
    return this.#table.all();
  }

  /** Ends every lease of one agent and its visitors' connections. The names stay reserved. */
  endOf(identity: string, instance: string): void {
    for (const lease of this.#table.all()) {
      if (lease.record.owner !== identity || lease.record.instance !== instance) continue;
      this.#cut(lease);
      this.#table.remove(lease);
      void this.#store(lease);
    }
  }

  /**
   * Releases a name that `identity` has reserved, with its ports. Any identity may take it then. Ends a lease that waits for
   * its agent. Throws `name_in_use` while an agent serves the name, and `not_found` if this identity has not reserved it.
   */
  async release(identity: string, name: string): Promise<void> {
    const leases = [...this.#table.all()].filter(
      ({ record }) => record.owner === identity && record.name === name && !record.isOwnDomain,
    );
    if (leases.some(({ holder }) => holder)) throw nameInUse(name);
    await this.#dropElsewhere(identity, name);
    for (const lease of leases) this.#table.remove(lease);
    this.#returning.forget(name);
    if (await this.#options.reservations.release(name, identity)) return;
    throw new PortalError('not_found', `"${name}" is not reserved for your identity on this relay`);
  }

  /** Closes the public ports of all leases. Connected visitors stay. */
  stopListening(): void {
    this.#table.stopListening();
  }

  /** Ends every lease here. Their places stay with their identities until the directory closes, and then as it decides. */
  clear(): void {
    this.#unwatch();
    this.#returning.close();
    this.#elsewhere.clear();
    for (const lease of this.#table.all()) {
      this.#table.surrender(lease);
      lease.waiting.clear();
    }
  }

  #own(holder: OwnHolder, id: string): LocalLease {
    const lease = this.#table.of(holder).get(id);
    if (!lease) throw new PortalError('not_found', 'no such lease in this session');
    return lease;
  }

  #expire(lease: LocalLease): void {
    if (lease.holder) return;
    this.#options.log.info({ hostname: lease.record.hostname }, 'lease expired: its agent did not return');
    this.#table.remove(lease);
    void this.#store(lease);
  }

  /** Ends the leases of `identity` for `name` that wait for their agent at other nodes. Throws `name_in_use`. */
  async #dropElsewhere(identity: string, name: string): Promise<void> {
    const { directory, domain, remote } = this.#options;
    const hostname = `${name}.${domain}`;
    const records = LEASE_KINDS.flatMap((kind) => directory.at(placeOf({ kind, hostname }))).filter(
      ({ owner, node }) => owner === identity && node !== directory.node,
    );
    if (records.some(({ session }) => session !== undefined)) throw nameInUse(name);
    for (const { node, place } of records) await remote.drop(node, place);
  }

  /** Disconnects the visitors of a lease, at every node. */
  #cut(lease: LocalLease): void {
    lease.traffic.cut();
    this.#options.remote.cut(lease);
  }

  /** Lets another node have a place. */
  #heard(change: LeaseChange): void {
    const { place, epoch, record } = change;
    if (record && record.node !== this.#options.directory.node) this.#returning.returned(record);
    if (record) this.#yieldTo(record);
    const lease = this.#table.at(place);
    if (!lease) this.#elsewhere.heard(change);
    else if (record?.node !== this.#options.directory.node && epoch >= lease.record.epoch) {
      this.#surrender(lease);
      if (record) this.#elsewhere.adopt(lease, record);
      else this.#orphaned(lease);
    }
    this.#settle(place);
    this.#opening.settlePort(publicPlaceOf(place));
  }

  /** Ends the leases here that cannot share their public place with a claim of another node. */
  #yieldTo(record: LeaseRecord): void {
    if (record.node === this.#options.directory.node) return;
    for (const lease of this.#table.allAt(publicPlaceOf(record.place))) {
      if (!displaces(record, lease.record) || record.epoch < lease.record.epoch) continue;
      this.#surrender(lease);
      this.#orphaned(lease);
    }
  }

  #surrender(lease: LocalLease): void {
    const { holder } = lease;
    this.#options.log.info({ hostname: lease.record.hostname }, 'lease moved to another node');
    this.#table.surrender(lease);
    holder?.revoked(lease, 'taken over by a newer session of the same identity');
  }

  /** The visitors in the queue of an ended lease go to a lease of the same public place, or leave. */
  #orphaned(lease: LocalLease): void {
    if (lease.waiting.size === 0) return;
    const at = publicPlaceOf(lease.record.place);
    const whole = this.#table.at(at) ?? this.#elsewhere.at(at);
    if (whole && whole !== lease)
      for (const visitor of lease.waiting.all()) this.#options.queues.move(visitor, whole);
    else this.#replicas.leave(lease, at);
    lease.waiting.clear();
  }

  /** A CA connects to the name, and only one replica can respond. */
  #checkNoOtherValidates({ record }: LocalLease): void {
    const at = publicPlaceOf(record.place);
    // The directory learns of changes here a moment later.
    const elsewhere = this.#elsewhere.allAt(at).map((lease) => lease.record);
    const all = [...this.#table.allAt(at).map((lease) => lease.record), ...elsewhere];
    const others = all.filter(({ place, session }) => place !== record.place && session !== undefined);
    if (!others.some(({ replica }) => replica?.validating)) return;
    throw new PortalError('relay_busy', `a CA validates ${record.hostname} at another replica`, {
      retryAfterMs: 1_000,
    });
  }

  #settle(place: string): void {
    const publicPlace = publicPlaceOf(place);
    this.#replicas.settle(publicPlace);
    for (const lease of this.#table.allAt(publicPlace)) lease.holder?.replicasChanged?.(lease);
  }

  /** Stores the last use of a name. Logs a failure, since the lease does not depend on it, and resolves with false. */
  async #store(lease: LocalLease): Promise<boolean> {
    const { record, network, firm } = lease;
    if (lease.storedAt === undefined) return false;
    lease.storedAt = Date.now();
    if (record.isOwnDomain) return true;
    const user = { address: record.owner, network };
    try {
      await this.#options.reservations.use(record.name, user, lease.storedAt, firm);
      return true;
    } catch (error) {
      this.#options.log.error({ err: error }, 'cannot store the last use of a name');
      return false;
    }
  }
}

function nameInUse(name: string): PortalError {
  return new PortalError(
    'name_in_use',
    `an agent serves "${name}" now; stop or disconnect the agent, then release the name`,
  );
}
