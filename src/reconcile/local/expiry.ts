import type { Expiry, ServiceSpec } from '../../agent/spec.js';
import type { Desired } from '../../config/desired.js';
import { atTime } from '../../lib/wall-clock.js';

/** When services expire. */
export class ExpiryClock {
  readonly #startedAt: number;
  #stop: (() => void) | undefined;

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

  /** When the next service expires, in milliseconds since the epoch. Undefined if none expires. */
  nextAt(desired: Desired, now = Date.now()): number | undefined {
    const moments = desired.services.flatMap(({ expires }) => this.expiresAt(expires) ?? []);
    const next = Math.min(...moments.filter((moment) => moment > now));
    return next === Infinity ? undefined : next;
  }

  /** Calls `onDue` once when the next service of `desired` expires. Replaces the previous watch. */
  watch(desired: Desired, onDue: () => void): void {
    this.stop();
    const at = this.nextAt(desired);
    if (at !== undefined) this.#stop = atTime(at, onDue);
  }

  stop(): void {
    this.#stop?.();
  }

  #isExpired({ expires }: ServiceSpec, now: number): boolean {
    return (this.expiresAt(expires) ?? Infinity) <= now;
  }
}
