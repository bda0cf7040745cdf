import type { Expiry, ServiceSpec } from '../agent/spec.js';
import type { Desired } from '../config/desired.js';

/** setTimeout waits no longer than this (2^31 − 1 ms); whoever has longer to wait looks again. */
const LONGEST_WAIT_MS = 2_147_483_647;

/** When services close by themselves. */
export class ExpiryClock {
  readonly #startedAt: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param startedAt milliseconds since the epoch: what `expires: 8h` counts from */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  /** Milliseconds since the epoch. */
  expiresAt(expires: Expiry | undefined): number | undefined {
    if (!expires) return undefined;
    return 'at' in expires ? expires.at : this.#startedAt + expires.afterMs;
  }

  /** Without the services whose time is over. */
  unexpired(desired: Desired, now = Date.now()): Desired {
    const isOver = ({ expires }: ServiceSpec): boolean => (this.expiresAt(expires) ?? Infinity) <= now;
    return { ...desired, services: desired.services.filter((service) => !isOver(service)) };
  }

  /** How long until the next service's time is over, or until it is time to look again; undefined: never. */
  nextMs(desired: Desired, now = Date.now()): number | undefined {
    const moments = desired.services.flatMap(({ expires }) => this.expiresAt(expires) ?? []);
    const next = Math.min(...moments.filter((moment) => moment > now));
    return next === Infinity ? undefined : Math.min(next - now, LONGEST_WAIT_MS);
  }

  /** Calls `onDue` once, when it is time to look at `desired` again; in place of the last one. */
  watch(desired: Desired, onDue: () => void): void {
    this.stop();
    const ms = this.nextMs(desired);
    if (ms !== undefined) this.#timer = setTimeout(onDue, ms).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
