import type { PortalEvent } from '../../reconcile/events.js';
import type { Verbosity } from '../verbosity.js';

type Of<Type extends PortalEvent['event']> = Extract<PortalEvent, { event: Type }>;

/** Steps on the way to a lease, and out of it: the outcome is told anyway. */
const STEPS = new Set(['connecting', 'opening', 'draining', 'closed']);

/** Decides which events a person reads as lines of their own. */
export class News {
  readonly #verbosity: Verbosity;
  /** Targets that do not answer. */
  readonly #dead = new Set<string>();
  /** Services that were told to be unhealthy. */
  readonly #unhealthy = new Set<string>();
  /** What was told last of each lease. */
  readonly #leases = new Map<string, string>();
  /** What was told last of what each service is served as. */
  readonly #served = new Map<string, string>();
  /** The first pass is over, and what it opened is told as a whole. */
  #hasBegun = false;

  constructor(verbosity: Verbosity = 'normal') {
    this.#verbosity = verbosity;
  }

  isNews(event: PortalEvent): boolean {
    const isNew = this.#isNew(event);
    if (this.#verbosity === 'verbose') return event.event !== 'target' || isNew;
    return isNew && (this.#verbosity === 'normal' || isTrouble(event));
  }

  #isNew(event: PortalEvent): boolean {
    switch (event.event) {
      case 'started':
        return false;
      case 'lease':
        return this.#isNewPhase(event);
      case 'applied':
        return this.#isLaterPass();
      case 'target':
        return this.#isNewVerdict(event);
      case 'health':
        return this.#isNewHealth(event);
      case 'served':
        return this.#isServedAnew(event);
      default:
        return true;
    }
  }

  /** What is ready at the start is told by `ready`; after that, what becomes ready, and what is not any more. */
  #isNewPhase({ service, relay, phase, error, unproven, url }: Of<'lease'>): boolean {
    if (STEPS.has(phase)) return false;
    const key = `${service} ${relay}`;
    const said = [phase, error?.code, unproven === undefined, url].join(' ');
    const before = this.#leases.get(key);
    this.#leases.set(key, said);
    return said !== before && (phase !== 'ready' || this.#hasBegun || before !== undefined);
  }

  #isLaterPass(): boolean {
    const isLater = this.#hasBegun;
    this.#hasBegun = true;
    return isLater;
  }

  /** That a target answers is expected, unless it did not before. */
  #isNewVerdict({ service, target, reachable }: Of<'target'>): boolean {
    const key = `${service} ${target}`;
    if (reachable) return this.#dead.delete(key);
    this.#dead.add(key);
    return true;
  }

  /** A target that does not answer is unhealthy as well: that is told once. */
  #isNewHealth({ service, healthy }: Of<'health'>): boolean {
    if (healthy) return this.#unhealthy.delete(service);
    if ([...this.#dead].some((key) => key.startsWith(`${service} `))) return false;
    this.#unhealthy.add(service);
    return true;
  }

  /** The first answer of a target is expected; another one later is not. */
  #isServedAnew({ service, servedAs }: Of<'served'>): boolean {
    const before = this.#served.get(service);
    this.#served.set(service, servedAs);
    return before !== undefined && before !== 'undecided' && before !== servedAs;
  }
}

/** What a person has to know who wants to hear nothing. */
function isTrouble(event: PortalEvent): boolean {
  switch (event.event) {
    case 'lease':
      return event.phase === 'failed' || event.phase === 'retrying';
    case 'target':
      return !event.reachable;
    case 'health':
      return !event.healthy;
    default:
      return event.event === 'rejected' || event.event === 'unplaced';
  }
}
