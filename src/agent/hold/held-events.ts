import type { HeldCounts } from '../status.js';
import type { HeldRequest } from './store.js';

type Happened =
  | { readonly event: 'held'; readonly until: string }
  | {
      readonly event: 'delivered';
      readonly status: number;
      readonly heldMs: number;
      readonly attempts: number;
    }
  /** `reason`: why it was not delivered. */
  | { readonly event: 'expired'; readonly reason: string; readonly attempts: number };

/** What happened to one request. `waiting`: the requests of its route that wait now. */
export type HeldEvent = {
  readonly service: string;
  readonly route: string;
  readonly id: string;
  readonly waiting: number;
} & Happened;

/** Reports what happens to held requests, and counts it, so that events and metrics agree. */
export class HeldEvents {
  readonly #counts = new Map<string, HeldCounts>();
  readonly #onEvent: (event: HeldEvent) => void;

  constructor(onEvent: (event: HeldEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** Since the start of the agent, by service. */
  get counts(): ReadonlyMap<string, HeldCounts> {
    return this.#counts;
  }

  tell({ service, route, id }: HeldRequest, waiting: number, happened: Happened): void {
    let counts = this.#counts.get(service);
    if (!counts) this.#counts.set(service, (counts = { held: 0, delivered: 0, expired: 0 }));
    counts[happened.event]++;
    this.#onEvent({ service, route, id, waiting, ...happened });
  }
}
