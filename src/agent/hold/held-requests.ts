import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import type { HeldCounts, HeldStatus } from '../status.js';
import { DeliveringHandlers, type Deliver, type Delivering } from './handlers.js';
import { HeldEvents, type HeldEvent } from './held-events.js';
import { HOLD_LIMITS, type HoldLimits } from './limits.js';
import { RouteQueue } from './route-queue.js';
import { HeldSpace, type Room, type Usage } from './space.js';
import { storageReason } from './storage-reason.js';
import type { HeldRequest, HeldStore } from './store.js';

type Store = Pick<HeldStore, 'list' | 'nextId' | 'write' | 'body' | 'remove'>;

export interface HeldOptions {
  readonly onEvent: (event: HeldEvent) => void;
  /** Whether the target of a route may accept connections, as far as the agent knows. Default: it may. */
  readonly mayBeUp?: (service: string, route: string) => boolean;
  /** Called when requests cannot be stored, deleted or read. A cause that continues is reported for each request. */
  readonly warn: (message: string) => void;
  readonly log: Logger;
  readonly limits?: Partial<HoldLimits>;
  readonly now?: () => number;
}

/**
 * Owns the requests that wait for their target: a queue for each route, and when they expire. Stores each on disk before the
 * sender gets a response.
 */
export class HeldRequests {
  readonly #options: HeldOptions;
  readonly #limits: HoldLimits;
  readonly #now: () => number;
  readonly #queues = new Map<string, RouteQueue>();
  readonly #handlers = new DeliveringHandlers((service) => this.retry(service));
  readonly #events: HeldEvents;
  readonly #space: HeldSpace;
  #store: Store | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: HeldOptions) {
    this.#options = options;
    this.#limits = { ...HOLD_LIMITS, ...options.limits };
    this.#now = options.now ?? Date.now;
    this.#events = new HeldEvents(options.onEvent);
    this.#space = new HeldSpace(this.#limits, (service) => this.#waiting(service));
  }

  get limits(): HoldLimits {
    return this.#limits;
  }

  get counts(): ReadonlyMap<string, HeldCounts> {
    return this.#events.counts;
  }

  /** Whether requests can be held. */
  get isOpen(): boolean {
    return this.#store !== undefined && !this.#isClosed;
  }

  /** Continues with what an earlier run of the agent left in `store`. Throws if it cannot be read. */
  async open(store: Store): Promise<void> {
    const { held, damaged } = await store.list();
    if (damaged > 0)
      this.#options.warn(
        `held requests are damaged and cannot be delivered: ${damaged}; portal requests wipe deletes them`,
      );
    for (const request of held) this.#queueOf(request, store).restore(request);
    this.#store = store;
    for (const queue of this.#queues.values()) {
      await queue.dropExpired('the agent was not running');
      queue.deliver();
    }
    this.#expire();
  }

  /** Delivers requests of `service` with `deliver` from now on. */
  deliverWith(service: string, routes: ReadonlySet<string>, deliver: Deliver): Delivering {
    return this.#handlers.add(service, routes, deliver);
  }

  /** Whether requests of the route wait, so that a new one must wait behind them. */
  isWaiting(service: string, route: string): boolean {
    return (this.#queues.get(keyOf({ service, route }))?.usage.count ?? 0) > 0;
  }

  /** Space for one more request of `service`. Release it with `leave`. Undefined if the limits allow none. */
  enter(service: string): Room | undefined {
    return this.isOpen ? this.#space.enter(service) : undefined;
  }

  leave(room: Room): void {
    this.#space.leave(room);
  }

  /**
   * Holds a request for `holdMs`. Resolves with its id once it is on disk, and throws `state_unwritable` if it cannot be
   * stored. `room` is released.
   */
  async hold(
    asked: Omit<HeldRequest, 'id' | 'heldAt' | 'until'>,
    body: Buffer,
    holdMs: number,
    room: Room,
  ): Promise<string> {
    this.leave(room);
    if (!this.#store || this.#isClosed)
      throw new PortalError('state_unwritable', 'held requests cannot be stored');
    const heldAt = this.#now();
    const id = this.#store.nextId(heldAt);
    const request: HeldRequest = { ...asked, id, heldAt, until: heldAt + holdMs };
    try {
      await this.#queueOf(request, this.#store).store(request, body);
    } catch (error) {
      this.#options.warn(
        `${asked.service}: requests cannot be held (${storageReason(error)}), and their senders get 503`,
      );
      throw error;
    }
    this.#expire();
    return id;
  }

  /** Tries again now: the target of `service` may be back. */
  retry(service: string): void {
    for (const queue of this.#queues.values()) if (queue.service === service) queue.retry();
  }

  /** The routes with held requests. */
  status(): HeldStatus[] {
    return [...this.#queues.values()].flatMap(({ status }) => status ?? []);
  }

  /** How many requests of each route wait although no handler serves the route. `routesOf`: those that a service has. */
  without(routesOf: (service: string) => ReadonlySet<string>): Map<string, number> {
    const found = new Map<string, number>();
    for (const { service, route, waiting } of this.status())
      if (!routesOf(service).has(route)) found.set(service, (found.get(service) ?? 0) + waiting);
    return found;
  }

  /** Removes all held requests. Resolves with their number. A delivery in progress continues. */
  async wipe(): Promise<number> {
    const wiped = await Promise.all([...this.#queues.values()].map((queue) => queue.wipe()));
    return wiped.reduce((sum, count) => sum + count, 0);
  }

  /** Starts no more deliveries, and waits up to `ms` for those in progress. What is left on disk is for the next run. */
  async close(ms: number): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#expiry);
    const closing = [...this.#queues.values()].map((queue) => queue.close());
    await within(Promise.all(closing), Math.max(1, ms), 'deliveries').catch(() => undefined);
  }

  #queueOf(of: Pick<HeldRequest, 'service' | 'route'>, store: Store): RouteQueue {
    const key = keyOf(of);
    const present = this.#queues.get(key);
    if (present) return present;
    const queue = new RouteQueue(of, {
      store,
      handlers: this.#handlers,
      events: this.#events,
      mayBeUp: this.#options.mayBeUp ?? (() => true),
      onEmpty: () => void this.#queues.delete(key),
      limits: this.#limits,
      now: this.#now,
      warn: this.#options.warn,
      log: this.#options.log,
    });
    this.#queues.set(key, queue);
    return queue;
  }

  /** Drops the requests that have expired, and comes back when the next one does. */
  #expire(): void {
    clearTimeout(this.#expiry);
    if (this.#isClosed) return;
    const now = this.#now();
    let next = Infinity;
    for (const queue of this.#queues.values()) {
      const { nextExpiry } = queue;
      if (nextExpiry <= now) void queue.dropExpired();
      // One that is being delivered does not expire yet.
      next = Math.min(next, Math.max(nextExpiry, now + this.#limits.minPauseMs));
    }
    if (next === Infinity) return;
    this.#expiry = setTimeout(() => this.#expire(), Math.min(next - now, LONGEST_WAIT_MS)).unref();
  }

  /** Of one service, or of all. */
  #waiting(service?: string): Usage {
    let [count, bytes] = [0, 0];
    for (const queue of this.#queues.values()) {
      if (service !== undefined && queue.service !== service) continue;
      count += queue.usage.count;
      bytes += queue.usage.bytes;
    }
    return { count, bytes };
  }
}

/** A timer stops while the machine sleeps, and ignores that somebody sets the clock, so the clock is read this often. */
const LONGEST_WAIT_MS = 60_000;

const keyOf = ({ service, route }: Pick<HeldRequest, 'service' | 'route'>): string => `${service} ${route}`;
