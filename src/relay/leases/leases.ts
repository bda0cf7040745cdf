import { KeyedQueue } from '../../lib/keyed-queue.js';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { LeaseKind } from '../../protocol/kind.js';
import type { FromAgent } from '../../protocol/messages.js';
import type { LeaseDirectory } from '../directory/directory.js';
import { publicPlaceOf, type LeaseRecord } from '../directory/record.js';
import type { Reservations } from '../names/reservations.js';
import type { RemoteSessions } from '../nodes/remote-sessions.js';
import type { Quotas } from '../protection/quotas.js';
import { ReturningAgents } from '../sessions/returning-agents.js';
import type { VisitorGate } from '../visitors/visitors.js';
import { ClaimsElsewhere } from './claims-elsewhere.js';
import { ClosingLeases } from './closing-leases.js';
import { ExpectedLeases } from './expected-leases.js';
import type { LeaseHolder, OwnHolder, LocalLease } from './lease.js';
import { LeaseClaims, type LeaseClaimsOptions } from './lease-claims.js';
import { LeaseOpening } from './lease-opening.js';
import { LeasePorts } from './lease-ports.js';
import { LeaseTable } from './lease-table.js';
import { LeasesElsewhere } from './leases-elsewhere.js';
import { NameUses } from './name-uses.js';
import { closeEmpty, type OpenPort, type PublicPorts } from './ports.js';
import { releaseName } from './release-name.js';
import { ReplicaStates } from './replica-states.js';
import { Replicas, type VisitorTraits } from './replicas.js';

export interface LeaseRegistryOptions extends LeaseClaimsOptions {
  readonly directory: LeaseDirectory;
  readonly remote: Pick<RemoteSessions, 'of' | 'onEnd' | 'noMoreVisits' | 'freePort' | 'cut' | 'drop'>;
  readonly reservations: Reservations;
  readonly ports: PublicPorts;
  readonly quotas: Quotas;
  /** Where visitors wait. */
  readonly queues: Pick<VisitorGate, 'move' | 'onStalled' | 'onUnanswered' | 'handedOver' | 'isSettled'>;
  readonly maxLeasesPerSession: number;
  readonly graceMs: number;
  readonly reserveAfterMs: number;
  readonly log: Logger;
}

/** How long other nodes may take to hear that a lease was closed. Its agent waits for twice as long. */
const HEARD_MS = 1_000;

/** The leases of this process: which session holds which hostname, which identity may have it, and for how long. */
export class LeaseRegistry {
  /** What keeps the names of these leases reserved. */
  readonly names: NameUses;
  /** What makes leases for visitors who arrive before the agents of the previous process. */
  readonly expected: ExpectedLeases;
  /** Leases whose agents closed them while visitors waited. */
  readonly closing: ClosingLeases;
  readonly #table: LeaseTable;
  readonly #returning = new ReturningAgents();
  readonly #elsewhere: LeasesElsewhere;
  readonly #claimsElsewhere: ClaimsElsewhere;
  readonly #opening: LeaseOpening;
  readonly #replicas: Replicas;
  readonly #replicaStates: ReplicaStates;
  readonly #turns = new KeyedQueue();
  readonly #options: LeaseRegistryOptions;

  constructor(options: LeaseRegistryOptions) {
    this.#options = options;
    const onOrphaned = (lease: LocalLease): void =>
      this.#replicas.leave(lease, publicPlaceOf(lease.record.place));
    const closing = new ClosingLeases({ isSettled: (lease) => options.queues.isSettled(lease) });
    const table = new LeaseTable({ ...options, onOrphaned });
    const elsewhere = new LeasesElsewhere({
      ...options,
      holderOf: (session) => options.remote.of(session),
      onHolderLost: (lease) => this.#settle(lease.record.place),
      onOrphaned,
      onClosed: (lease, holder) => this.#close(lease, holder),
    });
    this.closing = closing;
    this.#table = table;
    this.#elsewhere = elsewhere;
    this.#replicas = new Replicas({
      ...options,
      leaseAt: (place) => table.at(place) ?? elsewhere.at(place),
      move: (visitor, lease) => options.queues.move(visitor, lease),
    });
    const onChanged = (place: string): void => this.#settle(place);
    this.#replicaStates = new ReplicaStates({ table, elsewhere, onChanged });
    options.queues.onUnanswered(
      ({ lease, validates }) =>
        this.find(publicPlaceOf(lease.record.place), { validates }) ??
        (closing.has(lease) ? lease : undefined),
    );
    options.queues.onStalled((lease) => this.#replicas.stalled(lease, publicPlaceOf(lease.record.place)));
    this.names = new NameUses({ ...options, table });
    const common = { ...options, table, elsewhere, returning: this.#returning, onOrphaned };
    this.expected = new ExpectedLeases(common);
    const turns = this.#turns;
    const leasePorts = new LeasePorts({ ...common, turns });
    this.#opening = new LeaseOpening({
      ...common,
      claims: new LeaseClaims(options),
      names: this.names,
      leasePorts,
      turns,
      onOpened: (lease) => {
        this.#settle(lease.record.place);
        options.queues.handedOver(lease);
      },
    });
    this.#claimsElsewhere = new ClaimsElsewhere({
      ...common,
      onChanged: (place) => {
        this.#settle(place);
        leasePorts.settle(publicPlaceOf(place));
      },
    });
    options.remote.onEnd((session) => {
      elsewhere.lost(session);
      closing.lost(session);
    });
  }

  get size(): number {
    return this.#table.size;
  }

  /** Number of leases of each kind; `away`: leases whose agent is disconnected. */
  get sizes(): Readonly<Record<LeaseKind | 'away', number>> {
    return this.#table.sizes;
  }

  /** What this node has of leases of other nodes. */
  get elsewhere(): Pick<LeasesElsewhere, 'at' | 'cut' | 'traffic'> {
    return this.#elsewhere;
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

  /** The records of a public place, of any node. */
  recordsAt(publicPlace: string): readonly LeaseRecord[] {
    return this.#options.directory.at(publicPlace);
  }

  /** The lease at a place, if this node serves it. */
  own(place: string): LocalLease | undefined {
    return this.#table.at(place);
  }

  /** Call when the relay starts: agents of the previous process reconnect within `graceMs`. */
  async start(): Promise<void> {
    const { reservations, graceMs } = this.#options;
    this.#returning.start(graceMs, await reservations.current());
  }

  /** Opens a lease for `holder`, or hands over the existing lease of its identity. */
  open(holder: OwnHolder, request: FromAgent<'lease.open'>): Promise<LocalLease> {
    return this.#opening.open(holder, request);
  }

  /**
   * Closes one lease of `holder`. Its name stays reserved. Visitors that had connected may wait for data connections for up to
   * `waitMs`. Resolves when `holder` gets no more visitors of the lease, from any node.
   */
  async close(holder: OwnHolder, id: string, waitMs = HEARD_MS): Promise<void> {
    const lease = this.#own(holder, id);
    const port = this.#table.retire(lease);
    this.#close(lease, holder, port);
    void this.names.store(lease);
    const { remote } = this.#options;
    await Promise.all([
      this.closing.settled(lease, waitMs),
      remote.noMoreVisits(lease.record, HEARD_MS, waitMs),
    ]);
  }

  update(holder: OwnHolder, id: string, metadata: Record<string, string>): void {
    this.#own(holder, id).metadata = metadata;
  }

  /** Notes what an agent says of its replica. Resolves when the directory has it. */
  async setReplica(holder: OwnHolder, id: string, told: FromAgent<'lease.replica'>): Promise<void> {
    await this.#replicaStates.tell(this.#own(holder, id), told);
  }

  /** Call when a session ends: its leases wait `graceMs` for their identity to return. */
  detach(holder: OwnHolder): void {
    this.closing.lost(holder);
    for (const lease of this.#table.of(holder).values()) {
      this.#table.detach(lease);
      lease.graceTimer = setTimeout(() => this.#expire(lease), this.#options.graceMs);
      lease.graceTimer.unref();
      this.#settle(lease.record.place);
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
      void this.names.store(lease);
    }
  }

  /**
   * Releases a name that `identity` has reserved, with its ports. Any identity may take it then. Ends a lease that waits for
   * its agent. Throws `name_in_use` while an agent serves the name, and `not_found` if this identity has not reserved it.
   */
  release(identity: string, name: string): Promise<void> {
    return releaseName({ ...this.#options, table: this.#table, returning: this.#returning }, identity, name);
  }

  /** Closes the public ports of all leases. Connected visitors stay. */
  stopListening(): void {
    this.#table.stopListening();
  }

  /** Ends every lease here. Their places stay with their identities until the directory closes, and then as it decides. */
  clear(): void {
    this.#claimsElsewhere.close();
    this.#returning.close();
    this.#elsewhere.clear();
    this.closing.clear();
    for (const lease of this.#table.all()) {
      this.#table.surrender(lease);
      lease.waiting.clear('timed_out');
    }
  }

  /** Other replicas get the visitors in the queue. Without any, `holder` still serves them. */
  #close(lease: LocalLease, holder: LeaseHolder, port?: OpenPort): void {
    const publicPlace = publicPlaceOf(lease.record.place);
    this.#replicas.leave(lease, publicPlace, { keeps: true });
    // A lease that opens there waits for the port.
    const accepted = port && this.#turns.run(publicPlace, () => closeEmpty(port));
    this.closing.add(lease, holder, accepted);
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
    void this.names.store(lease);
  }

  /** Disconnects the visitors of a lease, at every node. */
  #cut(lease: LocalLease): void {
    lease.traffic.cut();
    this.#options.remote.cut(lease);
  }

  #settle(place: string): void {
    const publicPlace = publicPlaceOf(place);
    this.#replicas.settle(publicPlace);
    for (const lease of this.#table.allAt(publicPlace)) lease.holder?.replicasChanged?.(lease);
  }
}
