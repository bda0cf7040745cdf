import type { Expiry, ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { LONGEST_TIMER_MS } from '../../lib/wait.js';

/** When services expire. */
export class ExpiryClock {
  readonly #startedAt: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param startedAt start time in milliseconds since the epoch, for relative expiries (`expires: 8h`) */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  /** Milliseconds since the epoch. Undefined without an expiry. */
  expiresAt(expires: Expiry | undefined): number | undefined {
    if (!expires) return undefined;
    return 'at' in expires ? expires.at : this.#startedAt + expires.afterMs;
  }

  /** `desired` without its expired services. */
  unexpired(desired: Desired, now = Date.now()): Desired {
    return { ...desired, services: desired.services.filter((spec) => !this.#isExpired(spec, now)) };
  }

  /** The names of the services of `desired` that have expired. */
  expired(desired: Desired, now = Date.now()): ReadonlySet<string> {
    const expired = desired.services.filter((spec) => this.#isExpired(spec, now));
    return new Set(expired.map(({ service }) => service));
  }

  /** Milliseconds until the next service expires, or until the next check. Undefined if none expires. */
  nextMs(desired: Desired, now = Date.now()): number | undefined {
    const moments = desired.services.flatMap(({ expires }) => this.expiresAt(expires) ?? []);
    const next = Math.min(...moments.filter((moment) => moment > now));
    return next === Infinity ? undefined : Math.min(next - now, LONGEST_TIMER_MS);
  }

  /** Calls `onDue` once when `desired` must be checked again. Replaces the previous watch. */
  watch(desired: Desired, onDue: () => void): void {
    this.stop();
    const ms = this.nextMs(desired);
    if (ms !== undefined) this.#timer = setTimeout(onDue, ms).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #isExpired({ expires }: ServiceSpec, now: number): boolean {
    return (this.expiresAt(expires) ?? Infinity) <= now;
  }
}
