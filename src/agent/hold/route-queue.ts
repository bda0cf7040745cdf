import type { Logger } from '../../lib/logger.js';
import type { HeldStatus } from '../status.js';
import type { Deliver, DeliveringHandlers } from './handlers.js';
import type { HeldEvents } from './held-events.js';
import type { HoldLimits } from './limits.js';
import { RetryLoop, type Step } from './retry-loop.js';
import type { Usage } from './space.js';
import { storageReason } from './storage-reason.js';
import { sizeOf, type HeldRequest, type HeldStore } from './store.js';

interface Entry {
  readonly request: HeldRequest;
  readonly size: number;
  /** Resolves once it is on disk, or could not be written. */
  storing: Promise<unknown> | undefined;
  attempts: number;
  isDelivering: boolean;
}

/** What the queues of an agent have in common. */
export interface RouteQueueOptions {
  readonly store: Pick<HeldStore, 'write' | 'body' | 'remove'>;
  readonly handlers: Pick<DeliveringHandlers, 'of'>;
  readonly events: Pick<HeldEvents, 'tell'>;
  /** Whether the target of a route may accept connections, as far as the agent knows. */
  readonly mayBeUp: (service: string, route: string) => boolean;
  /** The queue is empty and at rest. Use another one for the next request. */
  readonly onEmpty: () => void;
  readonly limits: HoldLimits;
  readonly now: () => number;
  readonly warn: (message: string) => void;
  readonly log: Logger;
}

/** Owns the held requests of one route. Delivers them in order and one at a time, because a later webhook may depend on an earlier one. */
export class RouteQueue {
  readonly service: string;
  readonly route: string;
  readonly #options: RouteQueueOptions;
  readonly #entries: Entry[] = [];
  readonly #loop: RetryLoop;
  #bytes = 0;
  /** Why the first request still waits. */
  #error: string | undefined;

  constructor({ service, route }: Pick<HeldRequest, 'service' | 'route'>, options: RouteQueueOptions) {
    this.service = service;
    this.route = route;
    this.#options = options;
    const { minPauseMs, maxPauseMs } = options.limits;
    this.#loop = new RetryLoop({
      step: () => this.#step(),
      onRest: () => this.#closeIfEmpty(),
      onError: (error) => options.log.error({ err: error, service }, 'delivering held requests failed'),
      minPauseMs,
      maxPauseMs,
    });
  }

  get usage(): Usage {
    return { count: this.#entries.length, bytes: this.#bytes };
  }

  /** Undefined if no request waits. */
  get status(): HeldStatus | undefined {
    const [first] = this.#entries;
    if (!first) return undefined;
    return {
      service: this.service,
      route: this.route,
      waiting: this.#entries.length,
      bytes: this.#bytes,
      since: new Date(first.request.heldAt).toISOString(),
      ...(this.#error !== undefined && { error: this.#error }),
    };
  }

  /** When the first request expires, in milliseconds since the epoch. Infinity if none waits. */
  get nextExpiry(): number {
    return this.#entries.reduce((soonest, { request }) => Math.min(soonest, request.until), Infinity);
  }

  /** Adds a request that is on disk. Deliver it with `deliver`. */
  restore(request: HeldRequest): void {
    this.#add(request, undefined);
  }

  /** Adds a request at once. Resolves when it is on disk, and throws `state_unwritable` if it cannot be stored. */
  async store(request: HeldRequest, body: Buffer): Promise<void> {
    const storing = this.#options.store.write(request, body);
    const entry = this.#add(request, storing);
    try {
      await storing;
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
    entry.storing = undefined;
    this.#tell(request, { event: 'held', until: new Date(request.until).toISOString() });
    this.deliver();
  }

  /** Delivers what waits. A pause after a failure continues. */
  deliver(): void {
    this.#loop.run();
  }

  /** Tries again now: the target may be back. */
  retry(): void {
    this.#loop.retry();
  }

  /** Drops the requests that have expired, except one that is being delivered. */
  async dropExpired(reason?: string): Promise<void> {
    const now = this.#options.now();
    const expired = this.#entries.filter(
      ({ request, isDelivering }) => request.until <= now && !isDelivering,
    );
    for (const entry of expired) await this.#drop(entry, reason ?? this.#error ?? DOWN);
  }

  /** Removes all requests. Resolves with their number. A delivery in progress continues. */
  async wipe(): Promise<number> {
    const all = this.#entries.splice(0);
    this.#bytes = 0;
    this.#closeIfEmpty();
    for (const { storing, request } of all) {
      await storing?.catch(() => undefined);
      await this.#remove(request.id);
    }
    return all.length;
  }

  /** Starts no more deliveries. Resolves once the one in progress has ended. */
  close(): Promise<void> {
    return this.#loop.stop();
  }

  #add(request: HeldRequest, storing: Promise<unknown> | undefined): Entry {
    const entry: Entry = { request, size: sizeOf(request), storing, attempts: 0, isDelivering: false };
    this.#entries.push(entry);
    this.#bytes += entry.size;
    return entry;
  }

  async #step(): Promise<Step> {
    const [entry] = this.#entries;
    if (!entry) return 'idle';
    // If it cannot be written, it leaves the queue.
    if (entry.storing) await entry.storing.catch(() => undefined);
    else if (entry.request.until <= this.#options.now()) await this.dropExpired();
    else return this.#deliverFirst(entry);
    return 'next';
  }

  async #deliverFirst(entry: Entry): Promise<Step> {
    const { handlers, mayBeUp, store, limits } = this.#options;
    const send = handlers.of(this.service, this.route);
    if (!send) {
      // Until a handler serves the route again.
      this.#error = 'its route is not running';
      return 'idle';
    }
    if (!mayBeUp(this.service, this.route)) return this.#failed(DOWN, limits.maxDownMs);
    const body = await store.body(entry.request.id);
    if (this.#entries[0] !== entry) return 'next';
    if (body) return this.#attempt(entry, body, send);
    await this.#drop(entry, 'its file is damaged');
    return 'next';
  }

  async #attempt(entry: Entry, body: Buffer, send: Deliver): Promise<Step> {
    const { request } = entry;
    const { limits, now } = this.#options;
    entry.isDelivering = true;
    try {
      const outcome = await send(request, body, entry.attempts + 1);
      if (outcome.kind === 'down') return this.#failed(DOWN, limits.maxDownMs);
      entry.attempts++;
      if (outcome.kind === 'failed') return this.#failed(outcome.reason, limits.maxPauseMs);
      this.#error = undefined;
      await this.#remove(request.id);
      const { attempts } = entry;
      const heldMs = Math.max(0, now() - request.heldAt);
      // Otherwise it was wiped meanwhile.
      if (this.#leave(entry))
        this.#tell(request, { event: 'delivered', status: outcome.status, heldMs, attempts });
      return 'succeeded';
    } finally {
      entry.isDelivering = false;
    }
  }

  #failed(reason: string, maxPauseMs: number): Step {
    this.#error = reason;
    return { maxPauseMs };
  }

  async #drop(entry: Entry, reason: string): Promise<void> {
    const { service, route, id } = entry.request;
    if (!this.#leave(entry)) return;
    this.#options.log.warn({ service, route, id, reason }, 'a held request was not delivered in time');
    this.#tell(entry.request, { event: 'expired', reason, attempts: entry.attempts });
    await entry.storing?.catch(() => undefined);
    await this.#remove(id);
  }

  /** Whether the queue had it. */
  #leave(entry: Entry): boolean {
    const at = this.#entries.indexOf(entry);
    if (at < 0) return false;
    this.#entries.splice(at, 1);
    this.#bytes -= entry.size;
    this.#closeIfEmpty();
    return true;
  }

  /** A pause of this queue must not outlive it: the route may have another queue by then. */
  #closeIfEmpty(): void {
    if (this.#entries.length > 0 || this.#loop.isRunning) return;
    void this.close();
    this.#options.onEmpty();
  }

  /** A request that cannot be removed must not be delivered twice in this run. */
  async #remove(id: string): Promise<void> {
    try {
      await this.#options.store.remove(id);
    } catch (error) {
      this.#options.warn(
        `${this.service}: a held request cannot be deleted, and the agent delivers it again after a restart (${storageReason(error)})`,
      );
    }
  }

  #tell(request: HeldRequest, happened: Parameters<HeldEvents['tell']>[2]): void {
    this.#options.events.tell(request, this.#entries.length, happened);
  }
}

const DOWN = 'the target accepts no connection';
