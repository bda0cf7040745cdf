import type { ServiceSpec } from '../../agent/spec.js';
import { checkHealth } from '../../agent/target/health-check.js';
import { KnownTargets } from '../../agent/target/known-targets.js';
import { formatTarget, type Target } from '../../net/target/target.js';
import type { PortalEvent } from '../events.js';
import { HealthChecks } from './health.js';
import { TargetWatch, type TargetWatchOptions } from './targets.js';

export interface LocalServicesOptions {
  /** Whether a program of the service has just started, so that its target may not respond yet. */
  readonly isStarting: (service: string) => boolean;
  readonly emit: (event: PortalEvent) => void;
  /** Called when a target of the service begins to respond. */
  readonly onReachable: (service: string) => void;
  /** Called after each event about the service. */
  readonly onChange: (service: string) => void;
  /** Checks that replace the real ones. */
  readonly checks?: { readonly health?: typeof checkHealth; readonly target?: TargetWatchOptions['check'] };
}

/** Owns what the agent knows of the local services: what they speak, and whether they are reachable and healthy. */
export class LocalServices {
  /** What each target speaks, for all leases. */
  readonly protocols = new KnownTargets();
  readonly #options: LocalServicesOptions;
  readonly #targets: TargetWatch;
  readonly #health: HealthChecks;
  #specs: readonly ServiceSpec[] = [];
  readonly #changedAt = new Map<string, Date>();

  constructor(options: LocalServicesOptions) {
    this.#options = options;
    const { checks: { health = checkHealth, target } = {}, isStarting } = options;
    this.#targets = new TargetWatch(({ service, target: at, error }) => this.#onTarget(service, at, error), {
      isStarting,
      ...(target && { check: target }),
    });
    this.#health = new HealthChecks(
      (service, error) => this.#onHealth(service, error),
      async (spec, signal) => {
        const error = await health(spec, signal);
        // Report a target that does not respond as unreachable, before it is reported as unhealthy.
        if (error !== undefined) await this.#targets.recheck(spec.service);
        return error;
      },
    );
  }

  /** Checks exactly these services from now on. */
  follow(services: readonly ServiceSpec[]): void {
    this.#specs = services;
    const names = new Set(services.map(({ service }) => service));
    for (const service of this.#changedAt.keys()) if (!names.has(service)) this.#changedAt.delete(service);
    // Report a target that does not respond only once, and not as unhealthy as well.
    this.#targets.follow(services);
    this.#health.follow(services);
  }

  /** Resolves once each target has its first verdict. Has a timeout. */
  known(): Promise<void> {
    return this.#targets.known();
  }

  /** Checks all of them now. Has a timeout. */
  async now(): Promise<void> {
    await Promise.all([this.#health.now(), this.#targets.now()]);
  }

  /** Records the outcome of a connection to a target, for a visitor or to detect its protocol. */
  noted(service: string, target: Target, error: string | undefined): void {
    this.#targets.noted(service, target, error);
  }

  /** Why visitors should go elsewhere: a target is unreachable, or the service is unhealthy. */
  errorOf(service: string): string | undefined {
    return this.#targets.errorOf(service) ?? this.healthErrorOf(service);
  }

  /** Why `service` is unhealthy. Undefined if it is healthy or not checked. */
  healthErrorOf(service: string): string | undefined {
    return this.#health.errorOf(service);
  }

  /** Why targets of `service` are unreachable, by target as text. Empty if all are reachable, as far as known. */
  targetErrorsOf(service: string): Record<string, string> {
    return this.#targets.errorsOf(service);
  }

  /** When `service` last became reachable or unreachable, healthy or unhealthy. Undefined before the first check. */
  changedAt(service: string): Date | undefined {
    return this.#changedAt.get(service);
  }

  /** Whether all targets of `service` are reachable, as far as known. */
  isReachable(service: string): boolean {
    return this.#targets.errorOf(service) === undefined;
  }

  /** Whether every target of `service` has responded, still does as far as known, and is healthy. */
  isUp(service: string): boolean {
    return this.#targets.isUp(service) && this.healthErrorOf(service) === undefined;
  }

  close(): void {
    this.#health.close();
    this.#targets.close();
  }

  #onTarget(service: string, target: string, error: string | undefined): void {
    const { emit, onReachable, onChange } = this.#options;
    const reachable = error === undefined;
    this.#changedAt.set(service, new Date());
    const routes = this.#routesTo(service, target);
    emit({
      event: 'target',
      service,
      target,
      ...(routes && { routes }),
      reachable,
      ...(error !== undefined && { error }),
    });
    if (reachable) {
      this.#health.recheck(service);
      onReachable(service);
    }
    onChange(service);
  }

  /** Undefined if all routes lead there. */
  #routesTo(service: string, target: string): string[] | undefined {
    const { routes = [] } = this.#specs.find((one) => one.service === service) ?? {};
    const here = routes.filter((route) => formatTarget(route.target) === target);
    return here.length === routes.length ? undefined : here.map(({ prefix }) => prefix);
  }

  #onHealth(service: string, error: string | undefined): void {
    const { emit, isStarting, onChange } = this.#options;
    const healthy = error === undefined;
    this.#changedAt.set(service, new Date());
    const spec = this.#specs.find((one) => one.service === service);
    if (spec && !healthy) this.protocols.forget(formatTarget(spec.target));
    // The state of a program that starts is no news.
    if (healthy || !isStarting(service))
      emit({ event: 'health', service, healthy, ...(error !== undefined && { error }) });
    onChange(service);
  }
}
