import type { Lease } from './lease.js';

/** How visitors reach this relay. */
export interface PublicPlace {
  readonly domain: string;
  readonly publicPort: number;
}

/** Where visitors find a lease, as `lease.opened` says it. */
export function publicAddressOf(
  { kind, hostname, port }: Pick<Lease, 'kind' | 'hostname' | 'port'>,
  { domain, publicPort }: PublicPlace,
): { url: string } | { tcpAddr: string } | { udpAddr: string } {
  if (kind === 'tls') return { url: `https://${hostname}${publicPort === 443 ? '' : `:${publicPort}`}` };
  const address = `${domain}:${port?.port ?? 0}`;
  return kind === 'tcp' ? { tcpAddr: address } : { udpAddr: address };
}
