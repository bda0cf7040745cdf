import { ERRORS } from '../../lib/error-codes.js';
import type { PortalEvent } from '../../reconcile/events.js';
import type { Verbosity } from '../verbosity.js';
import { addressOf } from './lost-leases.js';

type Of<Type extends PortalEvent['event']> = Extract<PortalEvent, { event: Type }>;

/** Steps that are not printed, because their outcome is. */
export const STEPS: ReadonlySet<string> = new Set(['connecting', 'opening', 'draining', 'closed']);

/** Decides which events get a line. */
export class EventFilter {
  readonly #verbosity: Verbosity;
  /** Targets that do not respond. */
  readonly #unreachable = new Set<string>();
  /** Services that were reported as unhealthy. */
  readonly #unhealthy = new Set<string>();
  /** What was printed last for each lease. */
  readonly #leases = new Map<string, string>();
  /** The commands that have started once. The line of an exit says when the next start is. */
  readonly #started = new Set<string>();
  /** How each service was last served. */
  readonly #served = new Map<string, string>();
  /** The first pass has ended. `ready` reports the leases that it opened. */
  #hasBegun = false;

  constructor(verbosity: Verbosity = 'normal') {
    this.#verbosity = verbosity;
  }

  isShown(event: PortalEvent): boolean {
    const isNew = this.#isNew(event);
    if (this.#verbosity === 'verbose') return event.event !== 'target' || isNew;
    return isNew && (this.#verbosity === 'normal' || isError(event));
  }

  #isNew(event: PortalEvent): boolean {
    switch (event.event) {
      case 'started':
        return event.metrics !== undefined;
      // The error of the command follows.
      case 'stopped':
        return !(event.reason in ERRORS);
      case 'lease':
        return this.#isNewPhase(event);
      case 'applied':
        return this.#isLaterPass();
      case 'target':
        return this.#isNewVerdict(event);
      case 'health':
        return this.#isNewHealth(event);
      case 'served':
        return this.#isNewProtocol(event);
      // The first of a route that waits, and the last: the others follow in the same way.
      case 'held':
        return event.waiting === 1;
      case 'delivered':
        return event.waiting === 0;
      case 'command':
        return this.#isNewCommand(event);
      default:
        return true;
    }
  }

  /** `ready` reports leases at the start, except a port other than the requested one. Each later change gets a line. */
  #isNewPhase(lease: Of<'lease'>): boolean {
    const { service, relay, phase, error, unproven, askedPort } = lease;
    if (STEPS.has(phase)) return false;
    const key = `${service} ${relay}`;
    const state = [phase, error?.code, unproven === undefined, addressOf(lease), askedPort].join(' ');
    const before = this.#leases.get(key);
    this.#leases.set(key, state);
    if (state === before) return false;
    return phase !== 'ready' || this.#hasBegun || before !== undefined || askedPort !== undefined;
  }

  #isLaterPass(): boolean {
    const isLater = this.#hasBegun;
    this.#hasBegun = true;
    return isLater;
  }

  /** A target that responds is news only if it did not respond before. */
  #isNewVerdict({ service, target, reachable }: Of<'target'>): boolean {
    const key = `${service} ${target}`;
    if (reachable) return this.#unreachable.delete(key);
    this.#unreachable.add(key);
    return true;
  }

  /** A target that does not respond is also unhealthy: report that once. */
  #isNewCommand({ state, name }: Of<'command'>): boolean {
    if (state !== 'running') return state !== 'stopped';
    const isFirst = !this.#started.has(name);
    this.#started.add(name);
    return isFirst;
  }

  #isNewHealth({ service, healthy }: Of<'health'>): boolean {
    if (healthy) return this.#unhealthy.delete(service);
    if ([...this.#unreachable].some((key) => key.startsWith(`${service} `))) return false;
    this.#unhealthy.add(service);
    return true;
  }

  /** The first detected protocol of a target is expected. A different one later is news. */
  #isNewProtocol({ service, servedAs }: Of<'served'>): boolean {
    const before = this.#served.get(service);
    this.#served.set(service, servedAs);
    return before !== undefined && before !== 'undecided' && before !== servedAs;
  }
}

/** Events that are printed even with --quiet: errors that last until a person changes something. */
function isError(event: PortalEvent): boolean {
  return (
    (event.event === 'lease' && event.phase === 'failed') ||
    event.event === 'rejected' ||
    event.event === 'expired' ||
    event.event === 'unplaced'
  );
}
