import type { LeaseRecord } from './directory/record.js';

/** The public address of this relay. */
export interface PublicPlace {
  readonly domain: string;
  readonly publicPort: number;
}

/** The public address of a lease, as in `lease.opened`. Empty while its port opens. */
export function publicAddressOf(
  { kind, hostname, portHost, port }: Pick<LeaseRecord, 'kind' | 'hostname' | 'portHost' | 'port'>,
  { domain, publicPort }: PublicPlace,
): Partial<Record<'url' | 'tcpAddr' | 'udpAddr', string>> {
  if (kind === 'tls') return { url: `https://${hostname}${publicPort === 443 ? '' : `:${publicPort}`}` };
  if (port === undefined) return {};
  const address = `${portHost ?? domain}:${port}`;
  return kind === 'tcp' ? { tcpAddr: address } : { udpAddr: address };
}
