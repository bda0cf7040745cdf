import { Tally } from '../../lib/tally.js';

/**
 * Why a datagram went no further. UDP may lose anything; what Portal itself drops is counted by reason, so that
 * nothing is lost silently.
 */
export type DropReason =
  /** No carrier stands: the agent is away, or on its way back. */
  | 'away'
  /** The next hop does not take more now; waiting would only add delay. */
  | 'busy'
  /** The system had no room for it in a socket's receive buffer, because this process did not read in time. */
  | 'receive_buffer'
  /** A flow too many: no room for another visitor. */
  | 'flows'
  /** Faster than the identity may be on this relay. */
  | 'rate'
  /** Pieces that did not come together in time, or were too many. */
  | 'incomplete'
  /** Of a flow that is over. */
  | 'no_flow'
  /** The local service, or the visitor, cannot be reached (ICMP). */
  | 'unreachable'
  /** Not let in. */
  | 'refused'
  /** Packets and frames that are not what they should be. */
  | 'malformed'
  | 'forged'
  | 'replayed'
  | 'old';

export class Drops extends Tally<DropReason> {}
