import type { AgentLease } from '../agent/lease/lease.js';
import { retirementOf, type RelaySpec } from '../agent/spec.js';
import type { Phase } from '../agent/status.js';
import type { Logger } from '../lib/logger.js';
import { deferred, type Deferred } from '../lib/wait.js';
import type { Drain } from '../net/splice/splice.js';
import { isFinal } from './announce.js';
import { publicPlace, type Action, type ActiveLease, type Placement } from './plan.js';

/** Drain of a service that was removed from the file. */
const CLOSED_DRAIN: Drain = { ms: 10_000 };

/** Phases in which an action has its first outcome. */
const SETTLED: ReadonlySet<Phase> = new Set<Phase>(['ready', 'retrying', 'failed', 'closed']);

export const isSettled = ({ phase }: AgentLease): boolean => SETTLED.has(phase);

interface Running {
  readonly relay: RelaySpec;
  readonly lease: AgentLease;
  retiring: boolean;
  /** Key of the lease that replaces it, once it is retiring. */
  replacement?: string;
}

export interface ActiveOptions {
  /** Creates the lease of a placement. Calls `phaseChanged` on each change of its phase. */
  readonly make: (place: Placement) => AgentLease;
  /** Called for each new lease: announce it and add it to its relay. */
  readonly opened: (lease: AgentLease, relay: RelaySpec) => void;
  /** Called once a lease has drained and closed. */
  readonly finished: (lease: AgentLease, relay: RelaySpec) => Promise<void>;
  readonly log: Logger;
}

/** Owns the active leases: carries out the plan's actions, and closes the leases that were replaced. */
export class ActiveLeases {
  readonly #options: ActiveOptions;
  readonly #active = new Map<string, Running>();
  /** Leases that left #active and are draining. */
  readonly #draining = new Map<AgentLease, Promise<void>>();
  readonly #settling = new Map<AgentLease, Deferred<void>>();

  constructor(options: ActiveOptions) {
    this.#options = options;
  }

  /** The active leases, as input for the plan. */
  get placed(): ActiveLease[] {
    return [...this.#active.values()].map(({ relay, lease, retiring }) => ({
      relay,
      spec: lease.spec,
      retiring,
    }));
  }

  /** Leases that accept visitors. */
  get leases(): AgentLease[] {
    return [...this.#active.values()].map(({ lease }) => lease);
  }

  /** Leases that accept visitors and are not being replaced. */
  get lasting(): AgentLease[] {
    return [...this.#active.values()].filter(({ retiring }) => !retiring).map(({ lease }) => lease);
  }

  /** All leases, including those that are draining. */
  get all(): AgentLease[] {
    return [...this.leases, ...this.#draining.keys()];
  }

  /** Per active service: visitors who still use a previous target or configuration. */
  get retiring(): Record<string, number> {
    const lasting = new Set(this.lasting);
    const services = new Set(this.lasting.map(({ spec }) => spec.service));
    const counts: Record<string, number> = {};
    for (const lease of this.all) {
      const { service } = lease.spec;
      const { visitors, retiring = 0 } = lease.status();
      const count = lasting.has(lease) ? retiring : visitors;
      if (count > 0 && services.has(service)) counts[service] = (counts[service] ?? 0) + count;
    }
    return counts;
  }

  /** Carries out `actions`. Resolves once each opened lease has its first outcome. */
  async carryOut(actions: readonly Action[], wanted: ReadonlyMap<string, Placement>): Promise<void> {
    const settled: Promise<void>[] = [];
    for (const action of actions) {
      const place = action.to === undefined ? undefined : wanted.get(action.to);
      const opened = this.#carryOut(action, place);
      if (opened) settled.push(this.#settled(opened));
    }
    this.#retire();
    await Promise.all(settled);
  }

  phaseChanged(lease: AgentLease): void {
    if (!isSettled(lease)) return;
    this.#settling.get(lease)?.resolve();
    this.#retire();
  }

  /** Closes every lease within `drain`. The same limit then applies to leases that are already draining. */
  async close(drain: Drain): Promise<void> {
    const shortened = [...this.#draining.keys()].map((lease) => lease.close(drain));
    for (const key of this.#active.keys()) this.#close(key, drain);
    for (const outcome of this.#settling.values()) outcome.resolve();
    await Promise.allSettled([...shortened, ...this.#draining.values()]);
  }

  /** Returns the opened lease, if any. */
  #carryOut(action: Action, place: Placement | undefined): AgentLease | undefined {
    const old = action.from === undefined ? undefined : this.#active.get(action.from);
    if (action.kind === 'close') this.#close(action.from!, CLOSED_DRAIN);
    const keepsPlace = old !== undefined && action.from === action.to;
    if (keepsPlace && action.kind !== 'keep') {
      old.retiring = false;
      old.lease.yieldTo(undefined);
      old.lease.update(place!.spec);
      return undefined;
    }
    if (action.kind === 'replace') Object.assign(old!, { retiring: true, replacement: action.to });
    const opens = action.kind === 'open' || action.kind === 'replace';
    if (!opens) return undefined;
    const opened = this.#open(action.to!, place!);
    if (old?.retiring) old.lease.yieldTo(this.#samePlaceAs(old));
    return opened;
  }

  #open(key: string, place: Placement): AgentLease {
    const { relay } = place;
    const lease = this.#options.make(place);
    this.#active.set(key, { relay, lease, retiring: false });
    this.#options.opened(lease, relay);
    return lease;
  }

  /** The other lease for the same public address at the same relay, by another path. */
  #samePlaceAs(running: Running): AgentLease | undefined {
    const place = publicPlace(running.relay, running.lease.spec);
    for (const other of this.#active.values())
      if (other !== running && !other.retiring && publicPlace(other.relay, other.lease.spec) === place)
        return other.lease;
    return undefined;
  }

  #close(key: string, drain: Drain): void {
    const running = this.#active.get(key);
    if (!running) return;
    this.#active.delete(key);
    running.lease.yieldTo(this.#samePlaceAs(running));
    this.#draining.set(running.lease, this.#finish(running, drain));
  }

  async #finish({ lease, relay }: Running, drain: Drain): Promise<void> {
    try {
      await lease.close(drain);
    } catch (error) {
      this.#options.log.error({ err: error }, 'a lease did not close cleanly');
    }
    this.#draining.delete(lease);
    await this.#options.finished(lease, relay);
  }

  /** Closes each retiring lease once its replacement is ready. */
  #retire(): void {
    for (const [key, running] of this.#active) {
      if (!running.retiring) continue;
      const replacement = this.#replacementOf(running);
      const waitedFor = replacement
        ? [replacement]
        : [...this.#active.values()].filter(
            (other) => !other.retiring && other.lease.spec.service === running.lease.spec.service,
          );
      if (waitedFor.every(({ lease }) => isFinal(lease))) {
        // Lets visitors on the old lease finish.
        this.#close(key, retirementOf(running.lease.spec));
      }
    }
  }

  /** The current replacement: the first one may have been replaced itself. */
  #replacementOf(running: Running): Running | undefined {
    let next: Running | undefined = running;
    while (next?.retiring)
      next = next.replacement === undefined ? undefined : this.#active.get(next.replacement);
    return next;
  }

  #settled(lease: AgentLease): Promise<void> {
    if (isSettled(lease)) return Promise.resolve();
    const outcome = deferred<void>();
    this.#settling.set(lease, outcome);
    return outcome.promise.finally(() => this.#settling.delete(lease));
  }
}
