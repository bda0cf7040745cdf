import type { KeyedQueue } from '../../lib/keyed-queue.js';
import type { Logger } from '../../lib/logger.js';
import { delay } from '../../lib/wait.js';
import type { LeaseDirectory } from '../directory/directory.js';
import { publicPlaceOf, type LeaseRecord } from '../directory/record.js';
import type { LocalLease } from './lease.js';
import type { LeaseTable } from './lease-table.js';
import type { PortKind, PublicPorts } from './ports.js';

export interface LeasePortsOptions {
  readonly table: LeaseTable;
  readonly directory: LeaseDirectory;
  readonly ports: PublicPorts;
  /** One task at a time for each public place. */
  readonly turns: KeyedQueue;
  readonly log: Logger;
}

/** Attempts to open a port that another process may still be closing. */
const LISTEN_ATTEMPTS = 50;
const LISTEN_PAUSE_MS = 200;

/** Gives leases their public ports. The replicas of a name share one, and one of their nodes listens on it for all. */
export class LeasePorts {
  readonly #options: LeasePortsOptions;

  constructor(options: LeasePortsOptions) {
    this.#options = options;
  }

  /** Opens the port of a new lease of kind tcp or udp, or uses the port of another replica. */
  async open(lease: LocalLease, asked: number | undefined): Promise<void> {
    const { table, ports } = this.#options;
    const { kind, place } = lease.record;
    if (kind === 'tls') return;
    const shared = this.#listener(publicPlaceOf(place));
    if (shared) table.share(lease, shared);
    else table.listen(lease, await ports.open(kind, lease, asked));
  }

  /** Moves a held lease to another port if that is free. Visitors keep their connections. */
  async move(lease: LocalLease, asked: number | undefined): Promise<void> {
    const { table, ports } = this.#options;
    const { kind, port } = lease.record;
    if (kind === 'tls' || asked === undefined || asked === port) return;
    // Other replicas use it.
    if (table.allAt(publicPlaceOf(lease.record.place)).length > 1) return;
    const moved = await ports.move(kind, lease, asked);
    if (moved) table.listen(lease, moved);
  }

  /** Call when the replicas of a public place changed. Listens here if the node that did so has left. */
  settle(publicPlace: string): void {
    if (!this.#guestAt(publicPlace)) return;
    void this.#options.turns.run(publicPlace, () => this.#listenAgain(publicPlace));
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
}
