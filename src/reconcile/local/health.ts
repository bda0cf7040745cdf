import { checkHealth } from '../../agent/target/health-check.js';
import type { ServiceSpec } from '../../agent/spec.js';

type Check = (spec: ServiceSpec, signal: AbortSignal) => Promise<string | undefined>;

interface Watch {
  readonly spec: ServiceSpec;
  readonly ending: AbortController;
  /** The check in progress. */
  checking?: Promise<void> | undefined;
  timer?: NodeJS.Timeout;
  /** The error of the last check, while unhealthy. */
  error?: string | undefined;
}

/** Checks local services with `health` periodically. Owns the result of the last check. */
export class HealthChecks {
  readonly #watches = new Map<string, Watch>();
  readonly #onChange: (service: string, error: string | undefined) => void;
  readonly #check: Check;

  /** @param onChange called when a service becomes unhealthy, and when it recovers */
  constructor(onChange: (service: string, error: string | undefined) => void, check: Check = checkHealth) {
    this.#onChange = onChange;
    this.#check = check;
  }

  /** Checks exactly these services. An unchanged check continues. */
  follow(services: readonly ServiceSpec[]): void {
    const wanted = new Map(services.filter(({ health }) => health).map((spec) => [spec.service, spec]));
    for (const [service, watch] of this.#watches) {
      const spec = wanted.get(service);
      if (spec && isSame(spec, watch.spec)) wanted.delete(service);
      else this.#end(service, watch);
    }
    for (const [service, spec] of wanted) {
      const watch = { spec, ending: new AbortController() };
      this.#watches.set(service, watch);
      void this.#checkNow(watch);
    }
  }

  /** Why `service` is unhealthy. Undefined if it is healthy or not checked. */
  errorOf(service: string): string | undefined {
    return this.#watches.get(service)?.error;
  }

  /** Checks all services now. */
  async now(): Promise<void> {
    await Promise.all([...this.#watches.values()].map((watch) => this.#checkNow(watch)));
  }

  /** Checks `service` now if it was unhealthy. */
  recheck(service: string): void {
    const watch = this.#watches.get(service);
    if (watch?.error !== undefined) void this.#checkNow(watch);
  }

  close(): void {
    for (const [service, watch] of this.#watches) this.#end(service, watch);
  }

  #checkNow(watch: Watch): Promise<void> {
    watch.checking ??= this.#ask(watch).finally(() => (watch.checking = undefined));
    return watch.checking;
  }

  async #ask(watch: Watch): Promise<void> {
    const { spec, ending } = watch;
    clearTimeout(watch.timer);
    const error = await this.#check(spec, ending.signal);
    if (ending.signal.aborted) return;
    const isChange = (error === undefined) !== (watch.error === undefined);
    watch.error = error;
    watch.timer = setTimeout(() => void this.#checkNow(watch), spec.health?.intervalMs).unref();
    if (isChange) this.#onChange(spec.service, error);
  }

  #end(service: string, { ending, timer }: Watch): void {
    ending.abort();
    clearTimeout(timer);
    this.#watches.delete(service);
  }
}

/** Whether everything that the check depends on is equal. */
function isSame(one: ServiceSpec, other: ServiceSpec): boolean {
  return asked(one) === asked(other);
}

const asked = ({ health, target, targetTls, proxyProtocol }: ServiceSpec): string =>
  JSON.stringify([health, target, targetTls, proxyProtocol]);
