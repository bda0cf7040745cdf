import { createHmac } from 'node:crypto';
import type { Agents } from '../agents/agents.js';
import { ExpiryClock } from '../names/expiry-clock.js';
import type { LeaseRegistry } from '../leases/leases.js';
import type { Refusals } from '../protection/quotas.js';
import { Reservations } from '../names/reservations.js';
import { openStore, type Store } from '../store/store.js';
import { startUpkeep, warnOfClock } from '../upkeep.js';
import type { Settings } from './settings.js';

/** What a relay remembers across restarts, and for how long. */
export class DurableState {
  readonly store: Store;
  readonly clock: ExpiryClock;
  readonly reservations: Reservations;
  readonly #settings: Settings;
  #stopUpkeep: (() => void) | undefined;

  private constructor(settings: Settings, store: Store, clock: ExpiryClock, refusals: Refusals) {
    const networkKey = settings.options.identity.derive('networks of reservations');
    this.#settings = settings;
    this.store = store;
    this.clock = clock;
    this.reservations = new Reservations({
      store,
      limits: settings.limits,
      refusals,
      now: () => clock.now(),
      tagOf: (network) => createHmac('sha256', networkKey).update(network).digest('base64url').slice(0, 22),
    });
  }

  static async open(settings: Settings, refusals: Refusals): Promise<DurableState> {
    const { options, limits, machineLog } = settings;
    const store = options.cluster?.store ?? (await openStore(options.store));
    const newestUse = await store.newestUse();
    const clock = new ExpiryClock({ newestUse, reservationMs: limits.reservationMs });
    warnOfClock(clock, machineLog);
    return new DurableState(settings, store, clock, refusals);
  }

  /** Keeps the store current from now on. */
  start(leases: LeaseRegistry, agents: Agents): void {
    const { reservations, clock } = this;
    this.#stopUpkeep = startUpkeep({ leases, agents, reservations, clock, ...this.#settings });
  }

  /** Ends the upkeep. */
  stop(): void {
    this.#stopUpkeep?.();
  }

  /** Completes pending writes. From then on this process writes nothing. */
  async close(): Promise<void> {
    this.stop();
    await this.store.close();
  }
}
