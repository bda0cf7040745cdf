import { targetsOf, type ServiceSpec } from '../../agent/spec.js';
import { checkTarget, type CheckOptions, type Found } from '../../agent/target/target-check.js';
import { deferred, type Deferred } from '../../lib/wait.js';
import { formatTarget, type Target } from '../../net/target/target.js';

export interface TargetWatchOptions {
  readonly check?: Check;
  /** Whether a program of the service has just started, so that its target may not listen yet. */
  readonly isStarting?: (service: string) => boolean;
}

type Check = (spec: ServiceSpec, target: Target, options: CheckOptions) => Promise<Found>;

/** The latest verdict on a target. */
export interface Verdict {
  readonly service: string;
  readonly target: string;
  /** Why it is unreachable. Undefined while it is reachable. */
  readonly error: string | undefined;
}

interface Watch {
  spec: ServiceSpec;
  readonly target: Target;
  readonly ending: AbortController;
  /** The check in progress. */
  checking?: Promise<void> | undefined;
  timer?: NodeJS.Timeout | undefined;
  pauseMs: number;
  /** Whether there is a first verdict. */
  isKnown: boolean;
  /** Resolves with the first verdict, or when the watch ends. */
  readonly known: Deferred<void>;
  error?: string | undefined;
  /** When it was last reachable (performance.now). */
  answeredAt: number;
  /** Pause between routine checks. */
  routineMs: number;
}

/** Pause before the next check of an unreachable target. It doubles up to the maximum. */
const MIN_PAUSE_MS = 500;
/** The same while its program starts. */
const STARTING_MS = 200;
const MAX_PAUSE_MS = 3_000;

/** Pause between routine checks of a target that responds, if the check opens no connection. */
const UNNOTICED_MS = 3_000;
/** The same if a check opens a connection. It doubles up to the maximum while the target is reachable. */
const MIN_ROUTINE_MS = 15_000;
const MAX_ROUTINE_MS = 60_000;

/**
 * Owns the verdict on each local service. A service is checked when it starts, often while it does not respond, and
 * rarely while it does. Between checks, its visitors' connections show its state.
 */
export class TargetWatch {
  readonly #watches = new Map<string, Watch>();
  readonly #onChange: (verdict: Verdict) => void;
  readonly #check: Check;
  readonly #isStarting: (service: string) => boolean;

  /** @param onChange called with the first verdict of each target, and on each change */
  constructor(
    onChange: (verdict: Verdict) => void,
    { check = checkTarget, isStarting = () => false }: TargetWatchOptions = {},
  ) {
    this.#onChange = onChange;
    this.#check = check;
    this.#isStarting = isStarting;
  }

  /** Watches exactly the targets of these services. A target that is reached as before keeps its verdict. */
  follow(services: readonly ServiceSpec[]): void {
    const wanted = new Map(
      services.flatMap((spec) =>
        targetsOf(spec).map((target) => [keyOf(spec.service, target), { spec, target }]),
      ),
    );
    for (const [key, watch] of this.#watches) {
      const place = wanted.get(key);
      if (place && wayOf(place.spec) === wayOf(watch.spec)) {
        wanted.delete(key);
        watch.spec = place.spec;
        // `health` may have been added or removed.
        if (watch.isKnown && watch.error === undefined) this.#schedule(watch);
      } else this.#end(key, watch);
    }
    for (const [key, place] of wanted) {
      const watch: Watch = {
        ...place,
        ending: new AbortController(),
        pauseMs: MIN_PAUSE_MS,
        isKnown: false,
        known: deferred<void>(),
        answeredAt: 0,
        routineMs: MIN_ROUTINE_MS,
      };
      this.#watches.set(key, watch);
      void this.#checkNow(watch);
    }
  }

  /** Records the outcome of a connection to a target, for a visitor or to detect its protocol. */
  noted(service: string, target: Target, error: string | undefined): void {
    const watch = this.#watches.get(keyOf(service, target));
    if (!watch) return;
    if (error === undefined) watch.answeredAt = performance.now();
    // A forwarder without a service behind it also accepts connections, so the check decides. For datagrams there is
    // no forwarder.
    const isSure = error !== undefined || !watch.isKnown || watch.spec.mode === 'udp';
    if (isSure) this.#found(watch, error);
    else if (watch.error !== undefined) void this.#checkNow(watch);
  }

  /** Why a target of `service` is unreachable. Undefined if all are reachable, as far as known. */
  errorOf(service: string): string | undefined {
    for (const { spec, error } of this.#watches.values())
      if (spec.service === service && error !== undefined) return error;
    return undefined;
  }

  /** Why targets of `service` are unreachable, by target as text. Empty if all are reachable, as far as known. */
  errorsOf(service: string): Record<string, string> {
    const watches = [...this.#watches.values()].filter(({ spec }) => spec.service === service);
    return Object.fromEntries(
      watches.flatMap(({ target, error }) => (error === undefined ? [] : [[formatTarget(target), error]])),
    );
  }

  /** Checks all of them now. Has a timeout. */
  async now(): Promise<void> {
    await Promise.all([...this.#watches.values()].map((watch) => this.#checkNow(watch)));
  }

  /** Checks the targets of `service` now. Has a timeout. */
  async recheck(service: string): Promise<void> {
    const watches = [...this.#watches.values()].filter(({ spec }) => spec.service === service);
    await Promise.all(watches.map((watch) => this.#checkNow(watch)));
  }

  /** Resolves once each has its first verdict. Has a timeout. */
  async known(): Promise<void> {
    const unknown = [...this.#watches.values()].filter(({ isKnown }) => !isKnown);
    await Promise.all(unknown.map((watch) => this.#isDecided(watch)));
  }

  /** A check without a result decides nothing, and no other follows, unless a program starts. */
  async #isDecided(watch: Watch): Promise<void> {
    await watch.checking;
    if (!watch.isKnown && this.#isStarting(watch.spec.service)) await watch.known.promise;
  }

  /** Whether every target of `service` has responded, and still does as far as known. */
  isUp(service: string): boolean {
    const watches = [...this.#watches.values()].filter(({ spec }) => spec.service === service);
    // Some systems cannot tell whether a program listens for datagrams.
    return watches.every(
      ({ spec, isKnown, error }) => error === undefined && (isKnown || spec.mode === 'udp'),
    );
  }

  close(): void {
    for (const [key, watch] of this.#watches) this.#end(key, watch);
  }

  #checkNow(watch: Watch, isRoutine = false): Promise<void> {
    watch.checking ??= this.#ask(watch, isRoutine).finally(() => (watch.checking = undefined));
    return watch.checking;
  }

  /** Makes a routine check, unless a visitor's connection has shown the same. */
  #routine(watch: Watch): void {
    if (restOf(watch) > 0) this.#schedule(watch);
    else void this.#checkNow(watch, true);
  }

  async #ask(watch: Watch, isRoutine: boolean): Promise<void> {
    const { spec, target, ending } = watch;
    const wasDown = watch.error !== undefined;
    const found = await this.#check(spec, target, { wasDown, isRoutine, signal: ending.signal });
    if (ending.signal.aborted || found === 'unknown') return;
    // A connection failed meanwhile, which is stronger evidence than an open port.
    if (!wasDown && watch.error !== undefined && found.error === undefined) return;
    if (found.isUnnoticed) watch.routineMs = UNNOTICED_MS;
    else if (!isRoutine) watch.routineMs = MIN_ROUTINE_MS;
    else watch.routineMs = Math.min(watch.routineMs * 2, MAX_ROUTINE_MS);
    if (found.error === undefined) watch.answeredAt = performance.now();
    this.#found(watch, found.error);
    if (found.error !== undefined) watch.pauseMs = Math.min(watch.pauseMs * 2, MAX_PAUSE_MS);
  }

  #found(watch: Watch, error: string | undefined): void {
    if (error !== undefined && !watch.isKnown && this.#isStarting(watch.spec.service)) {
      watch.error = `${formatTarget(watch.target)} does not respond yet: its command starts`;
      return this.#schedule(watch);
    }
    const isChange = !watch.isKnown || (error === undefined) !== (watch.error === undefined);
    watch.isKnown = true;
    watch.known.resolve();
    watch.error = error;
    if (error === undefined) watch.pauseMs = MIN_PAUSE_MS;
    this.#schedule(watch);
    const { spec, target } = watch;
    if (isChange) this.#onChange({ service: spec.service, target: formatTarget(target), error });
  }

  /** Schedules the next check. */
  #schedule(watch: Watch): void {
    clearTimeout(watch.timer);
    if (watch.error !== undefined)
      watch.timer = setTimeout(() => void this.#checkNow(watch), this.#pauseOf(watch)).unref();
    else if (!hasHealth(watch))
      watch.timer = setTimeout(() => this.#routine(watch), Math.max(0, restOf(watch))).unref();
  }

  #pauseOf({ spec, pauseMs }: Watch): number {
    return this.#isStarting(spec.service) ? STARTING_MS : pauseMs;
  }

  #end(key: string, { ending, timer, known }: Watch): void {
    ending.abort();
    known.resolve();
    clearTimeout(timer);
    this.#watches.delete(key);
  }
}

const keyOf = (service: string, target: Target): string => `${service} ${formatTarget(target)}`;

/** Whether `health` already checks the target. */
const hasHealth = ({ spec, target }: Watch): boolean =>
  spec.health !== undefined && formatTarget(spec.target) === formatTarget(target);

/** Time until the next routine check. */
const restOf = ({ answeredAt, routineMs }: Watch): number => answeredAt + routineMs - performance.now();

/** How the targets of a service are reached. */
const wayOf = ({ mode, targetTls, proxyProtocol }: ServiceSpec): string =>
  JSON.stringify([mode === 'udp', targetTls, proxyProtocol]);
