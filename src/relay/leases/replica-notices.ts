import type { FromRelay } from '../../protocol/messages.js';
import { LIMITS } from '../../protocol/limits.js';
import { agentId } from '../sessions/agent-id.js';
import { publicPlaceOf, replicaUses, type LeaseRecord } from '../directory/record.js';
import type { LocalLease } from './lease.js';

/** Tells an agent which other agents serve the names of its leases: after changes, at most once a second. */
export class ReplicaNotices {
  readonly #send: (message: FromRelay<'lease.replicas'>) => void;
  readonly #recordsAt: (publicPlace: string) => readonly LeaseRecord[];
  readonly #due = new Set<LocalLease>();
  /** What the agent knows, by id of the lease. */
  readonly #told = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;

  /** `recordsAt` returns all leases at a public place, of any node. */
  constructor(
    recordsAt: (publicPlace: string) => readonly LeaseRecord[],
    send: (message: FromRelay<'lease.replicas'>) => void,
  ) {
    this.#recordsAt = recordsAt;
    this.#send = send;
  }

  /** Call when a replica of the lease's name may have changed. */
  add(lease: LocalLease): void {
    if (!lease.record.replica) return;
    this.#due.add(lease);
    this.#timer ??= setTimeout(() => this.#tell(), LIMITS.minReportMs).unref();
  }

  /** Call when the lease goes to another session. */
  forget(lease: LocalLease): void {
    this.#due.delete(lease);
    this.#told.delete(lease.record.id);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #tell(): void {
    this.#timer = undefined;
    for (const { record } of this.#due) {
      const message = this.#messageOf(record);
      const text = JSON.stringify(message);
      if (!message || this.#told.get(record.id) === text) continue;
      this.#told.set(record.id, text);
      this.#send(message);
    }
    this.#due.clear();
  }

  #messageOf({ id, place }: LeaseRecord): FromRelay<'lease.replicas'> | undefined {
    const uses = [...replicaUses(this.#recordsAt(publicPlaceOf(place)))];
    const own = uses.find(([record]) => record.place === place);
    if (!own) return undefined;
    const others = uses
      .filter((one) => one !== own)
      .slice(0, LIMITS.maxAgentsShown)
      .map(([{ instance = '' }, use]) => ({ agent: agentId(instance), use }));
    return { type: 'lease.replicas', lease: id, use: own[1], others };
  }
}
