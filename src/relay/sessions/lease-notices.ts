import type { FromRelay } from '../../protocol/messages.js';
import type { LeaseRecord } from '../directory/record.js';
import type { LocalLease } from '../leases/lease.js';
import { ReplicaNotices } from '../leases/replica-notices.js';
import { UnservedNotices } from '../visitors/unserved.js';

/** Tells an agent what happens to its leases. Sends no message that the agent does not understand. */
export class LeaseNotices {
  readonly #unserved: UnservedNotices | undefined;
  readonly #replicas: ReplicaNotices | undefined;

  /** `understands` is that field of `hello`. `recordsAt` returns all leases at a public place, of any node. */
  constructor(
    understands: readonly string[],
    recordsAt: (publicPlace: string) => readonly LeaseRecord[],
    send: (message: FromRelay<'lease.unserved' | 'lease.replicas'>) => void,
  ) {
    if (understands.includes('lease.unserved')) this.#unserved = new UnservedNotices(send);
    if (understands.includes('lease.replicas')) this.#replicas = new ReplicaNotices(recordsAt, send);
  }

  /** Call when the relay gave up on visitors of `lease`, or may have before the agent had it. */
  gaveUp(lease: LocalLease): void {
    this.#unserved?.add(lease);
  }

  /** Call when a replica of the lease's name may have changed. */
  replicasChanged(lease: LocalLease): void {
    this.#replicas?.add(lease);
  }

  /** Call when the lease goes to another session. */
  forget(lease: LocalLease): void {
    this.#replicas?.forget(lease);
    this.#unserved?.forget(lease);
  }

  close(): void {
    this.#unserved?.close();
    this.#replicas?.close();
  }
}
