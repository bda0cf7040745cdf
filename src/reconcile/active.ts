import type { AgentLease } from '../agent/lease.js';
import { retirementOf, type RelaySpec } from '../agent/spec.js';
import type { Phase } from '../agent/status.js';
import type { Logger } from '../lib/logger.js';
import { deferred, type Deferred } from '../lib/wait.js';
import type { Drain } from '../net/splice.js';
import { isThrough } from './announce.js';
import { publicPlace, type Action, type ActiveLease, type Placement } from './plan.js';

/** A service taken out of the file stops for its visitors after this. */
const CLOSED_DRAIN: Drain = { ms: 10_000 };

/** Phases in which an action has had its first outcome. */
const SETTLED: ReadonlySet<Phase> = new Set<Phase>(['ready', 'retrying', 'failed', 'closed']);

export const isSettled = ({ phase }: AgentLease): boolean => SETTLED.has(phase);

interface Running {
  readonly relay: RelaySpec;
  readonly lease: AgentLease;
  retiring: boolean;
  /** Key of what takes its place, once it is retiring. */
  successor?: string;
}

export interface ActiveOptions {
  /** Makes the lease of a placement; `phaseChanged` is told of each change of its phase. */
  readonly make: (place: Placement) => AgentLease;
  /** A lease is there: it is to be told of, and given to its relay. */
  readonly opened: (lease: AgentLease, relay: RelaySpec) => void;
  /** It has let its visitors finish, and is gone. */
  readonly finished: (lease: AgentLease, relay: RelaySpec) => Promise<void>;
  readonly log: Logger;
}

/** Owns Active, the leases that run: carries the plan's actions out, and lets go of what was replaced. */
export class ActiveLeases {
  readonly #options: ActiveOptions;
  readonly #active = new Map<string, Running>();
  /** Leases that left #active and let their visitors finish. */
  readonly #draining = new Map<AgentLease, Promise<void>>();
  readonly #settling = new Map<AgentLease, Deferred<void>>();

  constructor(options: ActiveOptions) {
    this.#options = options;
  }

  /** As the plan wants them. */
  get placed(): ActiveLease[] {
    return [...this.#active.values()].map(({ relay, lease, retiring }) => ({
      relay,
      spec: lease.spec,
      retiring,
    }));
  }

  /** Those that take visitors. */
  get leases(): AgentLease[] {
    return [...this.#active.values()].map(({ lease }) => lease);
  }

  /** Those of them that nothing takes the place of. */
  get lasting(): AgentLease[] {
    return [...this.#active.values()].filter(({ retiring }) => !retiring).map(({ lease }) => lease);
  }

  /** Every lease, those that only let visitors finish included. */
  get all(): AgentLease[] {
    return [...this.leases, ...this.#draining.keys()];
  }

  /** By service that runs: visitors who are still on a previous target or configuration. */
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

  /** Does what `actions` say; resolves once each lease that was opened has had its first outcome. */
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

  /** Closes every lease within `drain`; those that are draining already get no longer than that. */
  async close(drain: Drain): Promise<void> {
    const shortened = [...this.#draining.keys()].map((lease) => lease.close(drain));
    for (const key of this.#active.keys()) this.#close(key, drain);
    for (const outcome of this.#settling.values()) outcome.resolve();
    await Promise.allSettled([...shortened, ...this.#draining.values()]);
  }

  /** Returns the lease that was opened. */
  #carryOut(action: Action, place: Placement | undefined): AgentLease | undefined {
    const old = action.from === undefined ? undefined : this.#active.get(action.from);
    if (action.kind === 'close') this.#close(action.from!, CLOSED_DRAIN);
    const staysThere = old !== undefined && action.from === action.to;
    if (staysThere && action.kind !== 'keep') {
      old.retiring = false;
      old.lease.yieldTo(undefined);
      old.lease.update(place!.spec);
      return undefined;
    }
    if (action.kind === 'replace') Object.assign(old!, { retiring: true, successor: action.to });
    const opens = action.kind === 'open' || action.kind === 'replace';
    if (!opens) return undefined;
    const opened = this.#open(action.to!, place!);
    if (old?.retiring) old.lease.yieldTo(this.#heirOf(old));
    return opened;
  }

  #open(key: string, place: Placement): AgentLease {
    const { relay } = place;
    const lease = this.#options.make(place);
    this.#active.set(key, { relay, lease, retiring: false });
    this.#options.opened(lease, relay);
    return lease;
  }

  /** The lease that has, or will have, the very place of `running` at its relay, on another way there. */
  #heirOf(running: Running): AgentLease | undefined {
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
    running.lease.yieldTo(this.#heirOf(running));
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

  /** Closes what was replaced, once what took its place is ready. */
  #retire(): void {
    for (const [key, running] of this.#active) {
      if (!running.retiring) continue;
      const successor = this.#successorOf(running);
      const waitedFor = successor
        ? [successor]
        : [...this.#active.values()].filter(
            (other) => !other.retiring && other.lease.spec.service === running.lease.spec.service,
          );
      if (waitedFor.every(({ lease }) => isThrough(lease))) {
        // The visitors of its old place finish what they began.
        this.#close(key, retirementOf(running.lease.spec));
      }
    }
  }

  /** What is there in its place now: what took it may have been replaced itself. */
  #successorOf(running: Running): Running | undefined {
    let next: Running | undefined = running;
    while (next?.retiring) next = next.successor === undefined ? undefined : this.#active.get(next.successor);
    return next;
  }

  #settled(lease: AgentLease): Promise<void> {
    if (isSettled(lease)) return Promise.resolve();
    const outcome = deferred<void>();
    this.#settling.set(lease, outcome);
    return outcome.promise.finally(() => this.#settling.delete(lease));
  }
}
