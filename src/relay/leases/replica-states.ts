import { PortalError } from '../../lib/errors.js';
import { until } from '../../lib/wait.js';
import { plainAddress } from '../../net/client-address.js';
import type { FromAgent } from '../../protocol/messages.js';
import { publicPlaceOf, type LeaseRecord, type ReplicaState } from '../directory/record.js';
import type { LocalLease } from './lease.js';
import type { LeaseTable } from './lease-table.js';
import type { LeasesElsewhere } from './leases-elsewhere.js';

/** What an agent tells the relay of its replica. */
type Told = Pick<FromAgent<'lease.replica'>, 'healthy' | 'probing' | 'validating'>;

export interface ReplicaStatesOptions {
  readonly table: Pick<LeaseTable, 'allAt' | 'has' | 'setReplica'>;
  readonly elsewhere: Pick<LeasesElsewhere, 'allAt'>;
  /** Called when the state of a replica has changed. */
  readonly onChanged: (place: string) => void;
}

/** How long a replica waits for the visit of another one. An agent ends a visit after five seconds. */
const TURN_MS = 6_000;

/** Notes what agents say of their replicas. */
export class ReplicaStates {
  readonly #options: ReplicaStatesOptions;

  constructor(options: ReplicaStatesOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the directory has it. Agents at one address take turns to visit the public port, because the relay tells
   * their visits apart by the address only. Throws `relay_busy` if a CA validates another replica.
   */
  async tell(lease: LocalLease, { healthy, probing, validating }: Told): Promise<void> {
    const { table, onChanged } = this.#options;
    if (validating) this.#checkNoOtherValidates(lease);
    const address = plainAddress(lease.agentAddress);
    if (probing) await until(() => !this.#isProbedFrom(lease, address), TURN_MS);
    const { replica, place } = lease.record;
    // It may have ended meanwhile.
    if (!replica || !table.has(lease)) return;
    const told = table.setReplica(lease, {
      ...replica,
      ...(healthy !== undefined && { healthy }),
      ...(validating !== undefined && { validating }),
      ...(probing !== undefined && { probingFrom: probing ? address : undefined }),
    });
    onChanged(place);
    await told;
  }

  /** Whether the agent of another replica visits the port from this address. */
  #isProbedFrom(lease: LocalLease, address: string): boolean {
    return this.#others(lease).some(({ probingFrom }) => probingFrom === address);
  }

  /** A CA connects to the name, and only one replica can respond. */
  #checkNoOtherValidates(lease: LocalLease): void {
    if (!this.#others(lease).some(({ validating }) => validating)) return;
    throw new PortalError('relay_busy', `a CA validates ${lease.record.hostname} at another replica`, {
      retryAfterMs: 1_000,
    });
  }

  /** The states of the connected replicas of the same name. */
  #others({ record: { place } }: LocalLease): ReplicaState[] {
    const { table, elsewhere } = this.#options;
    const at = publicPlaceOf(place);
    // The directory learns of changes here a moment later.
    const all: LeaseRecord[] = [...table.allAt(at), ...elsewhere.allAt(at)].map(({ record }) => record);
    return all.flatMap((each) =>
      each.replica && each.place !== place && each.session !== undefined ? each.replica : [],
    );
  }
}
