import type { ErrorCode } from '../lib/errors.js';
import { Tally } from '../lib/tally.js';
import type { LeaseKind } from '../protocol/kind.js';

/** Why a visitor got no data connection. Rejections by a limit count under the limit. */
export type UnservedReason =
  /** No agent serves the name. */
  | 'unknown_name'
  /** No data connection arrived in time. */
  | 'timed_out'
  /** A data connection arrived, and the agent did not respond. */
  | 'unanswered'
  /** The visitor disconnected before. */
  | 'disconnected'
  /** The visitor sent more bytes than allowed while it waited. */
  | 'too_many_bytes'
  /** The lease ended during the wait. */
  | 'lease_ended';

/** Why another node did not take a visitor. */
export type ForwardFailure =
  /** It does not serve the lease, or no longer with this epoch. */
  | 'rejected'
  /** No connection to it, or no response. */
  | 'unreachable';

/** Counters of a relay since its start that no other part owns. Metrics read them. */
export class Tallies {
  sessionsOpened = 0;
  /** Control channels that the relay ended with an error, before or after the proof of identity. */
  readonly channelsFailed = new Tally<ErrorCode>();
  readonly requestsFailed = new Tally<ErrorCode>();
  /** Data connections with a valid ticket: new ones, and ones that had served a visitor before. */
  readonly dataConnections = new Tally<'opened' | 'reused'>();
  /** Visitors that this node forwarded to another node, which counts them too. */
  visitorsForwarded = 0;
  readonly forwardsFailed = new Tally<ForwardFailure>();
  /** Visitors of leases of other nodes, served or forwarded. */
  visitorsRemote = 0;
  /** Visitors that changed to another replica while they waited. */
  visitorsMoved = 0;
  readonly visitorsServed = new Tally<LeaseKind>();
  readonly visitorsUnserved = new Tally<UnservedReason>();
  readonly #onWaited: ((seconds: number) => void) | undefined;

  /** `onWaited` gets the seconds that each visitor waited for its data connection. */
  constructor(onWaited?: (seconds: number) => void) {
    this.#onWaited = onWaited;
  }

  served(kind: LeaseKind, waitedMs: number): void {
    this.visitorsServed.add(kind);
    this.#onWaited?.(waitedMs / 1000);
  }
}
