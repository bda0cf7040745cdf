import type { Logger } from '../../lib/logger.js';
import type { LeaseChange, LeaseDirectory } from '../directory/directory.js';
import { displaces, publicPlaceOf, type LeaseRecord } from '../directory/record.js';
import type { ReturningAgents } from '../sessions/returning-agents.js';
import type { LocalLease } from './lease.js';
import type { LeasesElsewhere } from './leases-elsewhere.js';
import type { LeaseTable } from './lease-table.js';

export interface ClaimsElsewhereOptions {
  readonly directory: LeaseDirectory;
  readonly table: LeaseTable;
  readonly elsewhere: LeasesElsewhere;
  readonly returning: ReturningAgents;
  /** Call when a lease ended whose visitors are in the queue. Empties the queue. */
  readonly onOrphaned: (lease: LocalLease) => void;
  /** Call after each change of a place, at any node. */
  readonly onChanged: (place: string) => void;
  readonly log: Logger;
}

/** Ends the leases of this node whose places other nodes have claimed, from when it is created until `close`. */
export class ClaimsElsewhere {
  readonly #options: ClaimsElsewhereOptions;
  /** Ends the watch. */
  readonly close: () => void;

  constructor(options: ClaimsElsewhereOptions) {
    this.#options = options;
    this.close = options.directory.watch((change) => this.#heard(change));
  }

  #heard(change: LeaseChange): void {
    const { directory, table, elsewhere, returning, onOrphaned, onChanged } = this.#options;
    const { place, epoch, record } = change;
    const isOwn = record?.node === directory.node;
    if (record && !isOwn) {
      returning.returned(record);
      this.#yieldTo(record);
    }
    const lease = table.at(place);
    if (!lease) elsewhere.heard(change);
    else if (!isOwn && epoch >= lease.record.epoch) {
      this.#surrender(lease);
      if (record) elsewhere.adopt(lease, record);
      else onOrphaned(lease);
    }
    onChanged(place);
  }

  /** Ends the leases here that cannot share their public place with a claim of another node. */
  #yieldTo(record: LeaseRecord): void {
    const { table, onOrphaned } = this.#options;
    for (const lease of table.allAt(publicPlaceOf(record.place))) {
      if (!displaces(record, lease.record) || record.epoch < lease.record.epoch) continue;
      this.#surrender(lease);
      onOrphaned(lease);
    }
  }

  #surrender(lease: LocalLease): void {
    const { holder } = lease;
    this.#options.log.info({ hostname: lease.record.hostname }, 'lease moved to another node or worker');
    this.#options.table.surrender(lease);
    holder?.revoked(lease, 'taken over by a newer session of the same identity');
  }
}
