import type { Logger } from '../../lib/logger.js';
import { networkOf } from '../../net/cidr.js';
import { plainAddress } from '../../net/client-address.js';
import type { LeaseKind } from '../../protocol/kind.js';
import type { LeaseDirectory } from '../directory/directory.js';
import { ByPlace } from '../directory/by-place.js';
import { publicPlaceOf, type LeaseRecord, type ReplicaState } from '../directory/record.js';
import type { LeaseHolder, LocalLease, OwnHolder } from './lease.js';
import type { OpenPort } from './ports.js';
import type { Quotas } from '../protection/quotas.js';

export interface LeaseTableOptions {
  readonly directory: LeaseDirectory;
  readonly quotas: Quotas;
  /** Call when a lease ended whose visitors are in the queue. Empties the queue. */
  readonly onOrphaned: (lease: LocalLease) => void;
  readonly log: Logger;
}

/**
 * Owns the leases that this process serves, by place and by session. Only this class writes `record`, `holder` and `port`
 * of a lease. It counts leases and ports for the limits, and tells the directory what changes.
 */
export class LeaseTable {
  readonly #options: LeaseTableOptions;
  readonly #byPlace = new ByPlace<LocalLease>();
  readonly #byHolder = new Map<LeaseHolder, Map<string, LocalLease>>();
  #stopped = false;

  constructor(options: LeaseTableOptions) {
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

  /** Set once the ports are closed. */
  get stopped(): boolean {
    return this.#stopped;
  }

  at(place: string): LocalLease | undefined {
    return this.#byPlace.get(place);
  }

  /** All leases of a public place. */
  allAt(publicPlace: string): LocalLease[] {
    return this.#byPlace.at(publicPlace);
  }

  has(lease: LocalLease): boolean {
    return this.#byPlace.get(lease.record.place) === lease;
  }

  /** All leases. Removing some meanwhile is allowed. */
  all(): Iterable<LocalLease> {
    return this.#byPlace.values();
  }

  /** The leases of `holder`, by id. */
  of(holder: OwnHolder): ReadonlyMap<string, LocalLease> {
    return this.#byHolder.get(holder) ?? NO_LEASES;
  }

  /** Adds a lease at a free place; without a holder, it waits for one. Throws `limit_exceeded`. */
  add(lease: LocalLease, holder: OwnHolder | undefined): void {
    const { quotas } = this.#options;
    const { kind, owner } = lease.record;
    const network = holder ? networkOfHolder(holder) : '';
    if (kind !== 'tls') quotas.openPort(owner, network);
    try {
      quotas.openLease(owner);
    } catch (error) {
      if (kind !== 'tls') quotas.closePort(owner, network);
      throw error;
    }
    this.#byPlace.set(lease.record.place, lease);
    this.#give(lease, holder);
  }

  /** Gives a lease to a session that claimed its place again. Throws `limit_exceeded`. */
  handOver(lease: LocalLease, record: LeaseRecord, holder: OwnHolder): void {
    if (record.kind !== 'tls') this.#options.quotas.movePort(lease.network, networkOfHolder(holder));
    this.#give(lease, undefined);
    // Its place changes when its agent begins to share the name, or ends that.
    this.#byPlace.delete(lease.record.place);
    // The claim knows no port.
    const { port, portHost } = lease.record;
    const next = port === undefined ? record : { ...record, port, portHost };
    lease.record = lease.port ? listening(next) : next;
    this.#byPlace.set(record.place, lease);
    if (lease.record.port !== undefined) void this.#tell(lease);
    this.#give(lease, holder);
  }

  /** Takes a lease away from its session. */
  detach(lease: LocalLease): void {
    this.#give(lease, undefined);
    lease.record = { ...lease.record, session: undefined };
    void this.#tell(lease);
  }

  /** Notes what the agent of a replica says of it. Resolves when the directory has it. */
  setReplica(lease: LocalLease, replica: ReplicaState): Promise<void> {
    lease.record = { ...lease.record, replica };
    return this.#tell(lease);
  }

  /** Notes that a claim of this node gave `lease` a new epoch. */
  renew(lease: LocalLease, epoch: number): void {
    lease.record = { ...lease.record, epoch };
    void this.#tell(lease);
  }

  /** Listens on `port` from now on. Closes it if the lease ended meanwhile, since nothing else would. */
  listen(lease: LocalLease, port: OpenPort): void {
    if (this.#stopped || !this.has(lease)) return port.close();
    lease.port?.close();
    lease.port = port;
    lease.record = listening({ ...lease.record, port: port.port });
    void this.#tell(lease);
  }

  /** Notes that visitors of a replica arrive at the public port of another one. */
  share(lease: LocalLease, { port, portHost }: Pick<LeaseRecord, 'port' | 'portHost'>): void {
    lease.record = { ...lease.record, port, portHost };
    void this.#tell(lease);
  }

  /** Closes the public ports of all leases. Connected visitors stay. */
  stopListening(): void {
    this.#stopped = true;
    for (const lease of this.#byPlace.values()) lease.port?.close();
  }

  /** Ends a lease. Connected visitors stay, those in the queue do not. */
  remove(lease: LocalLease): void {
    const wasOwn = this.has(lease);
    this.surrender(lease);
    if (wasOwn && lease.record.epoch > 0) this.release(lease.record);
    this.#options.onOrphaned(lease);
  }

  /**
   * Ends a lease that its agent closed. Its visitors stay, including those in the queue. Returns its public port, which the caller
   * closes; undefined if it has none, or if another replica keeps it.
   */
  retire(lease: LocalLease): OpenPort | undefined {
    const port = this.#others(lease).length === 0 ? lease.port : undefined;
    if (port) lease.port = undefined;
    this.surrender(lease);
    if (lease.record.epoch > 0) this.release(lease.record);
    return port;
  }

  /** Ends a lease whose place another node has. Its visitors stay, including those in the queue. */
  surrender(lease: LocalLease): void {
    const { quotas } = this.#options;
    clearTimeout(lease.graceTimer);
    this.#give(lease, undefined);
    if (this.has(lease)) {
      const { place, kind, owner } = lease.record;
      this.#byPlace.delete(place);
      quotas.closeLease(owner);
      if (kind !== 'tls') quotas.closePort(owner, lease.network);
    }
    this.#bequeathPort(lease);
  }

  /** Frees the place of a record in the directory. */
  release({ place, epoch }: LeaseRecord): void {
    const { directory, log } = this.#options;
    directory.release(place, epoch).catch((error: unknown) => {
      log.error({ err: error, place }, 'cannot release a lease in the directory');
    });
  }

  /** Another replica of the public place keeps the port open. */
  #bequeathPort(lease: LocalLease): void {
    const { port } = lease;
    lease.port = undefined;
    const [heir] = this.#others(lease);
    if (!heir || !port) return port?.close();
    heir.port = port;
    heir.record = listening(heir.record);
    void this.#tell(heir);
  }

  /** The other leases of a public place here. */
  #others(lease: LocalLease): LocalLease[] {
    return this.allAt(publicPlaceOf(lease.record.place)).filter((other) => other !== lease);
  }

  #give(lease: LocalLease, holder: OwnHolder | undefined): void {
    if (lease.holder) {
      const leases = this.#byHolder.get(lease.holder);
      leases?.delete(lease.record.id);
      if (leases?.size === 0) this.#byHolder.delete(lease.holder);
    }
    lease.holder = holder;
    if (!holder) return;
    lease.network = networkOfHolder(holder);
    lease.agentAddress = holder.remoteAddress;
    const leases = this.#byHolder.get(holder);
    if (leases) leases.set(lease.record.id, lease);
    else this.#byHolder.set(holder, new Map([[lease.record.id, lease]]));
  }

  async #tell({ record }: LocalLease): Promise<void> {
    const { directory, log } = this.#options;
    await directory.update(record).catch((error: unknown) => {
      log.error({ err: error, place: record.place }, 'cannot update a lease in the directory');
    });
  }
}

const listening = (record: LeaseRecord): LeaseRecord =>
  record.replica ? { ...record, replica: { ...record.replica, listens: true } } : record;

const NO_LEASES: ReadonlyMap<string, LocalLease> = new Map();

/** The network of the holder's agent, as limits count it. */
export const networkOfHolder = ({ remoteAddress }: OwnHolder): string =>
  networkOf(plainAddress(remoteAddress));
