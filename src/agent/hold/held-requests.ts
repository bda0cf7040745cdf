import { asPortalError, PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { within } from '../../lib/wait.js';
import type { HeldCounts, HeldStatus } from '../status.js';
import { HOLD_LIMITS, type HoldLimits } from './limits.js';
import { sizeOf, type HeldRequest, type HeldStore } from './store.js';

/** What became of one attempt to deliver a request. */
export type Outcome =
  | { readonly kind: 'delivered'; readonly status: number }
  /** The target accepts no connection, and got nothing. */
  | { readonly kind: 'down' }
  /** The target may have got the request. */
  | { readonly kind: 'failed'; readonly reason: string };

/** Sends a held request to the target of its route. `attempt` counts from 1. Has a timeout. */
export type Deliver = (request: HeldRequest, body: Buffer, attempt: number) => Promise<Outcome>;

/** What happened to one request. `waiting`: the requests of its route that wait now. */
export type HeldEvent = {
  readonly service: string;
  readonly route: string;
  readonly id: string;
  readonly waiting: number;
} & (
  | { readonly event: 'held'; readonly until: string }
  | {
      readonly event: 'delivered';
      readonly status: number;
      readonly heldMs: number;
      readonly attempts: number;
    }
  /** `reason`: why it was not delivered. */
  | { readonly event: 'expired'; readonly reason: string; readonly attempts: number }
);

/** A handler that delivers the requests of its service. */
export interface Delivering {
  /** The routes of the service now. */
  routes: ReadonlySet<string>;
  close(): void;
}

type Store = Pick<HeldStore, 'list' | 'nextId' | 'write' | 'body' | 'remove'>;

export interface HeldOptions {
  readonly onEvent: (event: HeldEvent) => void;
  /** Whether the target of a route may accept connections, as far as the agent knows. Default: it may. */
  readonly mayBeUp?: (service: string, route: string) => boolean;
  readonly log: Logger;
  readonly limits?: Partial<HoldLimits>;
  readonly now?: () => number;
}

interface Entry {
  readonly request: HeldRequest;
  readonly size: number;
  /** Resolves once it is on disk, or could not be written. */
  storing: Promise<unknown> | undefined;
  attempts: number;
  isDelivering: boolean;
}

interface Queue {
  readonly service: string;
  readonly route: string;
  readonly entries: Entry[];
  /** Of its entries. */
  bytes: number;
  /** Delivers one request after another. */
  working: Promise<void> | undefined;
  /** Asked to deliver while it did: something is new, or a pause has ended. */
  again: 'new' | 'retry' | undefined;
  timer: NodeJS.Timeout | undefined;
  failures: number;
  error: string | undefined;
}

/** Space for a body while it arrives. It counts toward the limits. */
export class Room {
  bytes = 0;
  readonly #has: (bytes: number) => boolean;

  constructor(has: (bytes: number) => boolean) {
    this.#has = has;
  }

  /** False: the limits allow no more. */
  add(bytes: number): boolean {
    if (!this.#has(bytes)) return false;
    this.bytes += bytes;
    return true;
  }
}

/**
 * Owns the requests that wait for their target. Delivers those of a route in order and one at a time, and removes each when it is
 * delivered or expires. Stores each on disk before the sender gets a response.
 */
export class HeldRequests {
  readonly counts = new Map<string, HeldCounts>();
  readonly #options: HeldOptions;
  readonly #limits: HoldLimits;
  readonly #now: () => number;
  readonly #queues = new Map<string, Queue>();
  readonly #delivering = new Map<string, Map<Delivering, Deliver>>();
  /** Bodies that arrive, by service. */
  readonly #arriving = new Map<Room, string>();
  #store: Store | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: HeldOptions) {
    this.#options = options;
    this.#limits = { ...HOLD_LIMITS, ...options.limits };
    this.#now = options.now ?? Date.now;
  }

  get limits(): HoldLimits {
    return this.#limits;
  }

  /** Whether requests can be held. */
  get isOpen(): boolean {
    return this.#store !== undefined && !this.#isClosed;
  }

  /** Continues with what an earlier run of the agent left in `store`. Throws if it cannot be read. */
  async open(store: Store): Promise<void> {
    const { held, damaged } = await store.list();
    if (damaged > 0)
      this.#options.log.error(
        { files: damaged },
        'held requests are damaged and cannot be delivered; `portal requests wipe` deletes them',
      );
    for (const request of held) this.#add(request, undefined);
    this.#store = store;
    const now = this.#now();
    for (const queue of this.#queues.values()) {
      for (const entry of queue.entries.filter(({ request }) => request.until <= now))
        await this.#drop(queue, entry, 'the agent was not running');
      this.#work(queue);
    }
    this.#expire();
  }

  /** Delivers requests of `service` with `deliver` from now on. */
  deliverWith(service: string, routes: ReadonlySet<string>, deliver: Deliver): Delivering {
    const handlers = this.#delivering.get(service) ?? new Map<Delivering, Deliver>();
    this.#delivering.set(service, handlers);
    const work = (): void => this.retry(service);
    let present = routes;
    const delivering: Delivering = {
      get routes() {
        return present;
      },
      set routes(next) {
        present = next;
        work();
      },
      close: () => void handlers.delete(delivering),
    };
    handlers.set(delivering, deliver);
    work();
    return delivering;
  }

  /** Whether requests of the route wait, so that a new one must wait behind them. */
  isWaiting(service: string, route: string): boolean {
    return (this.#queues.get(keyOf(service, route))?.entries.length ?? 0) > 0;
  }

  /** Space for one more request of `service`. Release it with `leave`. Undefined if the limits allow none. */
  enter(service: string): Room | undefined {
    if (!this.isOpen) return undefined;
    const [ofService, all] = [this.#usage(service), this.#usage()];
    if (ofService.count >= this.#limits.maxOfService || all.count >= this.#limits.maxRequests)
      return undefined;
    const room = new Room(
      (bytes) =>
        this.#usage(service).bytes + bytes <= this.#limits.maxServiceBytes &&
        this.#usage().bytes + bytes <= this.#limits.maxBytes,
    );
    this.#arriving.set(room, service);
    return room;
  }

  leave(room: Room): void {
    this.#arriving.delete(room);
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
    const storing = this.#store.write(request, body);
    const queue = this.#add(request, storing);
    try {
      await storing;
    } catch (error) {
      this.#forget(queue, id);
      throw error;
    }
    this.#count(request.service).held++;
    this.#tell(request, { event: 'held', until: new Date(request.until).toISOString() });
    this.#expire();
    this.#work(queue);
    return id;
  }

  /** Tries again now: the target of `service` may be back. */
  retry(service: string): void {
    for (const queue of this.#queues.values()) {
      if (queue.service !== service) continue;
      queue.failures = 0;
      this.#work(queue, true);
    }
  }

  /** The routes with held requests. */
  status(): HeldStatus[] {
    return [...this.#queues.values()].flatMap(({ service, route, entries, bytes, error }) =>
      entries.length === 0
        ? []
        : [
            {
              service,
              route,
              waiting: entries.length,
              bytes,
              since: new Date(entries[0]!.request.heldAt).toISOString(),
              ...(error !== undefined && { error }),
            },
          ],
    );
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
    const all = [...this.#queues.values()].flatMap((queue) => {
      queue.bytes = 0;
      return queue.entries.splice(0);
    });
    for (const { storing, request } of all) {
      await storing?.catch(() => undefined);
      await this.#remove(request.id);
    }
    return all.length;
  }

  /** Starts no more deliveries, and waits up to `ms` for those in progress. What is left on disk is for the next run. */
  async close(ms: number): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#expiry);
    const working = [...this.#queues.values()].flatMap((queue) => {
      clearTimeout(queue.timer);
      return queue.working ?? [];
    });
    await within(Promise.all(working), Math.max(1, ms), 'deliveries').catch(() => undefined);
  }

  #add(request: HeldRequest, storing: Promise<unknown> | undefined): Queue {
    const { service, route } = request;
    const key = keyOf(service, route);
    let queue = this.#queues.get(key);
    if (!queue) {
      queue = {
        service,
        route,
        entries: [],
        bytes: 0,
        working: undefined,
        again: undefined,
        timer: undefined,
        failures: 0,
        error: undefined,
      };
      this.#queues.set(key, queue);
    }
    const entry: Entry = { request, size: sizeOf(request), storing, attempts: 0, isDelivering: false };
    queue.entries.push(entry);
    queue.bytes += entry.size;
    storing?.then(
      () => (entry.storing = undefined),
      () => undefined,
    );
    return queue;
  }

  /** Delivers what waits in `queue`. Without `isRetry`, a pause after a failure continues. */
  #work(queue: Queue, isRetry = false): void {
    if (this.#isClosed) return;
    if (queue.working) {
      queue.again = isRetry || queue.again === 'retry' ? 'retry' : 'new';
      return;
    }
    if (queue.timer && !isRetry) return;
    clearTimeout(queue.timer);
    queue.timer = undefined;
    queue.working = this.#deliverAll(queue)
      .catch((error: unknown) => {
        this.#options.log.error({ err: error, service: queue.service }, 'delivering held requests failed');
        this.#later(queue, this.#limits.maxPauseMs);
      })
      .finally(() => {
        const { again } = queue;
        queue.working = queue.again = undefined;
        if (queue.entries.length === 0) this.#queues.delete(keyOf(queue.service, queue.route));
        else if (again) this.#work(queue, again === 'retry');
      });
  }

  async #deliverAll(queue: Queue): Promise<void> {
    for (let entry = queue.entries[0]; entry && !this.#isClosed; entry = queue.entries[0]) {
      // If it cannot be written, it leaves the queue.
      if (entry.storing) await entry.storing.catch(() => undefined);
      else if (entry.request.until <= this.#now()) await this.#dropExpired(queue);
      else if (!(await this.#deliverFirst(queue, entry))) return;
    }
  }

  /** Whether the next one may follow. */
  async #deliverFirst(queue: Queue, entry: Entry): Promise<boolean> {
    const deliver = this.#deliverOf(queue);
    if (!deliver) {
      // Until a handler serves the route again.
      queue.error = 'its route is not running';
      return false;
    }
    const { request } = entry;
    if (this.#options.mayBeUp?.(queue.service, queue.route) === false) {
      queue.error = DOWN;
      return this.#failed(queue, this.#limits.maxDownMs);
    }
    const body = await this.#store!.body(request.id);
    if (queue.entries[0] !== entry) return true;
    if (!body) {
      await this.#drop(queue, entry, 'its file is damaged');
      return true;
    }
    entry.isDelivering = true;
    const outcome = await deliver(request, body, entry.attempts + 1);
    entry.isDelivering = false;
    if (outcome.kind === 'down') {
      queue.error = DOWN;
      return this.#failed(queue, this.#limits.maxDownMs);
    }
    entry.attempts++;
    if (outcome.kind === 'failed') {
      queue.error = outcome.reason;
      return this.#failed(queue, this.#limits.maxPauseMs);
    }
    queue.failures = 0;
    queue.error = undefined;
    await this.#remove(request.id);
    // It was wiped meanwhile.
    if (!this.#forget(queue, request.id)) return true;
    this.#count(request.service).delivered++;
    const heldMs = Math.max(0, this.#now() - request.heldAt);
    this.#tell(request, { event: 'delivered', status: outcome.status, heldMs, attempts: entry.attempts });
    return true;
  }

  #deliverOf({ service, route }: Queue): Deliver | undefined {
    for (const [{ routes }, deliver] of this.#delivering.get(service) ?? [])
      if (routes.has(route)) return deliver;
    return undefined;
  }

  #failed(queue: Queue, maxPauseMs: number): false {
    this.#later(queue, Math.min(this.#limits.minPauseMs * 2 ** Math.min(queue.failures++, 20), maxPauseMs));
    return false;
  }

  #later(queue: Queue, ms: number): void {
    clearTimeout(queue.timer);
    if (!this.#isClosed) queue.timer = setTimeout(() => this.#work(queue, true), ms).unref();
  }

  /** Drops the requests that have expired, and comes back when the next one does. */
  #expire(): void {
    clearTimeout(this.#expiry);
    if (this.#isClosed) return;
    const now = this.#now();
    let next = Infinity;
    for (const queue of this.#queues.values()) {
      const [soonest] = queue.entries.map(({ request }) => request.until).toSorted((a, b) => a - b);
      if (soonest === undefined) continue;
      if (soonest <= now) void this.#dropExpired(queue);
      next = Math.min(next, Math.max(soonest, now + this.#limits.minPauseMs));
    }
    if (next === Infinity) return;
    this.#expiry = setTimeout(() => this.#expire(), Math.min(next - now, LONGEST_WAIT_MS)).unref();
  }

  async #dropExpired(queue: Queue): Promise<void> {
    const now = this.#now();
    const expired = queue.entries.filter(
      ({ request, isDelivering }) => request.until <= now && !isDelivering,
    );
    for (const entry of expired) await this.#drop(queue, entry, queue.error ?? DOWN);
    if (queue.entries.length === 0 && !queue.working) this.#queues.delete(keyOf(queue.service, queue.route));
  }

  async #drop(queue: Queue, entry: Entry, reason: string): Promise<void> {
    const { request, attempts } = entry;
    if (!this.#forget(queue, request.id)) return;
    this.#count(request.service).expired++;
    this.#options.log.warn(
      { service: request.service, route: request.route, id: request.id, reason },
      'a held request was not delivered in time',
    );
    this.#tell(request, { event: 'expired', reason, attempts });
    await entry.storing?.catch(() => undefined);
    await this.#remove(request.id);
  }

  /** Whether the queue had it. */
  #forget(queue: Queue, id: string): boolean {
    const at = queue.entries.findIndex(({ request }) => request.id === id);
    if (at < 0) return false;
    queue.bytes -= queue.entries.splice(at, 1)[0]!.size;
    return true;
  }

  /** A request that cannot be removed must not be delivered twice in this run. */
  async #remove(id: string): Promise<void> {
    try {
      await this.#store?.remove(id);
    } catch (error) {
      this.#options.log.error(
        { id, reason: asPortalError(error).message },
        'cannot delete a held request; the agent delivers it again after a restart',
      );
    }
  }

  #tell(
    { service, route, id }: HeldRequest,
    event:
      | { event: 'held'; until: string }
      | { event: 'delivered'; status: number; heldMs: number; attempts: number }
      | { event: 'expired'; reason: string; attempts: number },
  ): void {
    const waiting = this.#queues.get(keyOf(service, route))?.entries.length ?? 0;
    this.#options.onEvent({ service, route, id, waiting, ...event });
  }

  #count(service: string): HeldCounts {
    let counts = this.counts.get(service);
    if (!counts) this.counts.set(service, (counts = { held: 0, delivered: 0, expired: 0 }));
    return counts;
  }

  /** Of one service, or of all, with bodies that arrive. */
  #usage(service?: string): { count: number; bytes: number } {
    let [count, bytes] = [0, 0];
    for (const queue of this.#queues.values()) {
      if (service !== undefined && queue.service !== service) continue;
      count += queue.entries.length;
      bytes += queue.bytes;
    }
    for (const [room, of] of this.#arriving) {
      if (service !== undefined && of !== service) continue;
      count++;
      bytes += room.bytes;
    }
    return { count, bytes };
  }
}

const DOWN = 'the target accepts no connection';

/** If the clock was set back, a request expires later than a timer can wait, which then would not wait at all. */
const LONGEST_WAIT_MS = 24 * 60 * 60 * 1_000;

const keyOf = (service: string, route: string): string => `${service} ${route}`;
