import type { LeaseRecord } from './directory/record.js';

/** The public address of this relay. */
export interface PublicPlace {
  readonly domain: string;
  readonly publicPort: number;
}

/** The public address of a lease, as in `lease.opened`. */
export function publicAddressOf(
  { kind, hostname, portHost, port }: Pick<LeaseRecord, 'kind' | 'hostname' | 'portHost' | 'port'>,
  { domain, publicPort }: PublicPlace,
): { url: string } | { tcpAddr: string } | { udpAddr: string } {
  if (kind === 'tls') return { url: `https://${hostname}${publicPort === 443 ? '' : `:${publicPort}`}` };
  const address = `${portHost ?? domain}:${port ?? 0}`;
  return kind === 'tcp' ? { tcpAddr: address } : { udpAddr: address };
}
