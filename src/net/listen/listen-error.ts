import { asPortalError, PortalError, systemCode } from '../../lib/errors.js';

/** An IP address and a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:443`, `[::1]:443` */
export function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'this machine does not have the address',
};

/** Why listening failed. `at` is the address if the system names none. */
export function listenError(error: unknown, at: string, wanted: number): PortalError {
  if (error instanceof PortalError) return error;
  const { address: host = at, port = wanted } = error as { address?: string | null; port?: number };
  // For an inherited descriptor, the system names no address.
  const address = host === null ? 'the inherited socket' : formatAddress({ host, port });
  const code = systemCode(error);
  if (code === 'EADDRINUSE')
    return new PortalError('address_in_use', `${address} is in use`, { cause: error });
  const reason = REASONS[code ?? ''];
  const message =
    reason === undefined ? asPortalError(error).message : `cannot listen on ${address}: ${reason} (${code})`;
  return new PortalError('listen_failed', message, { cause: error });
}
