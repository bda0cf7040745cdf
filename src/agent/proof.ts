import type { PortalError } from '../lib/errors.js';
import type { Unproven } from './status.js';

/** Pauses before a lease that is not proven is visited again: doubled each time, up to the second value. */
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;
/** After so many visits in a row that timed out, people are told again, and with a warning. */
export const WARN_AFTER = 3;

/**
 * Whether the agent's own visits to the public address come through. A visit that timed out says nothing either way: a
 * machine that is busy looks like a relay that drops it. So the lease stays open, and is shown as unproven.
 */
export class Proof {
  #provenAt: Date | undefined;
  #unproven: { since: Date; failures: number; reason: string } | undefined;

  /** When a visit came through last. */
  get provenAt(): Date | undefined {
    return this.#provenAt;
  }

  /** Why the lease is not proven now; undefined where it is, or where no visit was made yet. */
  get unproven(): Unproven | undefined {
    if (!this.#unproven) return undefined;
    const { since, failures, reason } = this.#unproven;
    return { since: since.toISOString(), failures, reason };
  }

  /** A visit came through. Returns whether people are to be told of it. */
  succeeded(): boolean {
    const isNews = this.#unproven !== undefined;
    this.#unproven = undefined;
    this.#provenAt = new Date();
    return isNews;
  }

  /** A visit timed out. Returns whether people are to be told of it. */
  timedOut({ message }: PortalError): boolean {
    const { since = new Date(), failures = 0 } = this.#unproven ?? {};
    this.#unproven = { since, failures: failures + 1, reason: message };
    return failures === 0 || failures + 1 === WARN_AFTER;
  }

  /** No visit can be made from here. Returns whether people are to be told of it. */
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
    // Not all at the same moment, and not at one that a relay could foresee.
    return pauseMs * (0.5 + Math.random());
  }
}
