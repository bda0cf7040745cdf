import type { ErrorCode } from '../lib/errors.js';
import { Tally } from '../lib/tally.js';
import type { LeaseKind } from '../protocol/kind.js';

/** Why a visitor was not joined to a data connection. What a limit refused is counted by the limit. */
export type UnservedReason =
  /** Nobody has the name that it asked for. */
  | 'unknown_name'
  /** No data connection came in time. */
  | 'timed_out'
  /** It went before one came. */
  | 'disconnected'
  /** It said more than it may before it is served. */
  | 'too_many_bytes'
  /** The lease ended while it waited. */
  | 'lease_ended';

/** What happened on a relay since it began, where nothing else counts it: each is one addition, read by metrics. */
export class Tallies {
  sessionsOpened = 0;
  /** Control channels that ended before an identity was proven, and those that a relay ended afterwards. */
  readonly channelsFailed = new Tally<ErrorCode>();
  readonly requestsFailed = new Tally<ErrorCode>();
  readonly visitorsServed = new Tally<LeaseKind>();
  readonly visitorsUnserved = new Tally<UnservedReason>();
  readonly #onWaited: ((seconds: number) => void) | undefined;

  /** `onWaited` hears how long each visitor waited for its data connection. */
  constructor(onWaited?: (seconds: number) => void) {
    this.#onWaited = onWaited;
  }

  served(kind: LeaseKind, waitedMs: number): void {
    this.visitorsServed.add(kind);
    this.#onWaited?.(waitedMs / 1000);
  }
}
