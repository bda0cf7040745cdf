import type { PortalError } from '../../lib/errors.js';
import type { Unproven } from '../status.js';

/** Pauses before an unproven lease is visited again: doubled each time, up to the maximum. */
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;
/** After this many consecutive timeouts, a warning is reported. */
export const WARN_AFTER = 3;

/**
 * Whether the agent's own visits to the public address succeed. A timeout proves nothing: a busy machine looks like a relay
 * that drops visits. So the lease stays open, and is shown as unproven.
 */
export class Proof {
  #provenAt: Date | undefined;
  #unproven: { since: Date; failures: number; reason: string } | undefined;

  /** Time of the last successful visit. */
  get provenAt(): Date | undefined {
    return this.#provenAt;
  }

  /** Why the lease is unproven. Undefined if it is proven, or was not visited yet. */
  get unproven(): Unproven | undefined {
    if (!this.#unproven) return undefined;
    const { since, failures, reason } = this.#unproven;
    return { since: since.toISOString(), failures, reason };
  }

  /** Records a successful visit. Returns whether to report it. */
  succeeded(): boolean {
    const isNews = this.#unproven !== undefined;
    this.#unproven = undefined;
    this.#provenAt = new Date();
    return isNews;
  }

  /** Records a visit that timed out. Returns whether to report it. */
  timedOut({ message }: PortalError): boolean {
    const { since = new Date(), failures = 0 } = this.#unproven ?? {};
    this.#unproven = { since, failures: failures + 1, reason: message };
    return failures === 0 || failures + 1 === WARN_AFTER;
  }

  /** Records that the agent cannot visit the address from here. Returns whether to report it. */
  impossible(reason: string): boolean {
    const isNews = this.#unproven?.reason !== reason;
    this.#unproven = { since: this.#unproven?.since ?? new Date(), failures: 0, reason };
    return isNews;
  }

  /** Milliseconds until the next visit: about `everyMs`, sooner while visits time out. */
  pauseMs(everyMs: number): number {
    const failures = this.#unproven?.failures ?? 0;
    const pauseMs =
      failures === 0 ? everyMs : Math.min(everyMs, MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
    // Random, so that visits spread out and a relay cannot predict them.
    return pauseMs * (0.5 + Math.random());
  }
}
