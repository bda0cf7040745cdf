import type { FromAgent } from './messages.js';

/**
 * How a relay distinguishes leases of one name. Modes of one kind share the public port, the hostname and the lease, so a
 * service can change between them without a new lease.
 */
export const LEASE_KINDS = ['tls', 'tcp', 'udp'] as const;
export type LeaseKind = (typeof LEASE_KINDS)[number];

export function kindOf(mode: FromAgent<'lease.open'>['mode']): LeaseKind {
  return mode === 'tcp' || mode === 'udp' ? mode : 'tls';
}
