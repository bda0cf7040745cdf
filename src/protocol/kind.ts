import type { FromAgent } from './messages.js';

/**
 * What a relay tells leases of one name apart by: modes of one kind share the public port, the hostname and the
 * lease, so that a service may change between them in place.
 */
export type LeaseKind = 'tls' | 'tcp' | 'udp';

export function kindOf(mode: FromAgent<'lease.open'>['mode']): LeaseKind {
  return mode === 'tcp' || mode === 'udp' ? mode : 'tls';
}
