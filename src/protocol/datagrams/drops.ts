import { Tally } from '../../lib/tally.js';

/** Why Portal dropped a datagram. UDP may lose datagrams elsewhere too. */
export type DropReason =
  /** No path to the agent: it is disconnected or reconnecting. */
  | 'away'
  /** The next hop is full. Waiting would only add delay. */
  | 'busy'
  /** A socket's receive buffer was full, because this process did not read in time. */
  | 'receive_buffer'
  /** Too many flows: no room for another visitor. */
  | 'flows'
  /** Over the rate of the identity on this relay. */
  | 'rate'
  /** Fragments that did not arrive in time, or too many of them. */
  | 'incomplete'
  /** For a flow that has ended. */
  | 'no_flow'
  /** The local service, or the visitor, is unreachable (ICMP). */
  | 'unreachable'
  /** Denied by the operator's lists. */
  | 'refused'
  /** Malformed packets and frames. */
  | 'malformed'
  | 'forged'
  | 'replayed'
  | 'old';

export class Drops extends Tally<DropReason> {}
