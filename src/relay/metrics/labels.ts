import { ERRORS } from '../../lib/error-codes.js';
import type { SpliceEnd } from '../../net/splice/spliced.js';
import type { DropReason } from '../../protocol/datagrams/drops.js';
import { LIMIT_NAMES } from '../limits.js';
import type { RelayStats } from '../relay.js';
import type { ForwardFailure, UnservedReason } from '../tallies.js';

/** The labels of metrics, with all their values. */

export const KIND = { kind: 'of the lease: `tls` (modes stream and http), `tcp` or `udp`' } as const;
export const TLS_OR_TCP = { kind: 'of the lease: `tls` (modes stream and http) or `tcp`' } as const;
export const CODE = { code: 'an [error code](errors.md)' } as const;
export const TOWARDS = { to: '`agent` or `visitor`' } as const;

const keysOf = <K extends string>(all: Readonly<Record<K, unknown>>): K[] => Object.keys(all) as K[];

/** Error codes that a relay sends. */
export const WIRE_CODES = keysOf(ERRORS).filter((code) => 'wire' in ERRORS[code]);
/** Limits of a count. Timeouts reject nothing. */
export const COUNTED_LIMITS = LIMIT_NAMES.filter((name) => name.startsWith('max'));
export const DENIED = keysOf({ address: 0, identity: 0 } satisfies Record<keyof RelayStats['denied'], 0>);
export const UNSERVED = keysOf({
  unknown_name: 0,
  timed_out: 0,
  disconnected: 0,
  unanswered: 0,
  too_many_bytes: 0,
  lease_ended: 0,
} satisfies Record<UnservedReason, 0>);
export const FORWARD_FAILURES = keysOf({ rejected: 0, unreachable: 0 } satisfies Record<ForwardFailure, 0>);
export const ENDS = keysOf({
  ended: 0,
  reset: 0,
  idle: 0,
  lifetime: 0,
  no_response: 0,
  closed: 0,
} satisfies Record<SpliceEnd, 0>);
export const DROPS = keysOf({
  away: 0,
  busy: 0,
  receive_buffer: 0,
  flows: 0,
  rate: 0,
  incomplete: 0,
  refused: 0,
  no_flow: 0,
  unreachable: 0,
  malformed: 0,
  forged: 0,
  replayed: 0,
  old: 0,
} satisfies Record<DropReason, 0>);
