import { covers } from './local-names.js';

/** The source of a hostname's certificate. Paths are absolute. Plain data, comparable field by field. */
export type TlsSpec =
  | { readonly source: 'local' }
  | { readonly source: 'files'; readonly certFile: string; readonly keyFile: string }
  | ({ readonly source: 'acme' } & AcmeSpec)
  /** The local CA for the names that it covers, and the public CA for others. */
  | ({ readonly source: 'auto' } & AcmeSpec);

/** A public CA, over ACME (RFC 8555). */
export interface AcmeSpec {
  /** URL of the CA's directory. */
  readonly directory: string;
  /** Email address for the CA's notices. */
  readonly email?: string;
  /** PEM file of the CA that signs the directory's own HTTPS certificate. Default: the system's CAs. */
  readonly caFile?: string;
}

export const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';

/** The name of a CA, for people. */
export const caName = (directory: string): string =>
  directory === LETS_ENCRYPT ? "Let's Encrypt" : new URL(directory).host;

/** What every way to use a public CA says, after `get` or `gets`. */
export const certificatesFrom = (ca: string): string =>
  `certificates from ${ca}, agreeing to this CA's terms of service`;

/** Whether some certificates come from a public CA. */
export const usesAcme = (tls: TlsSpec): tls is Extract<TlsSpec, AcmeSpec> =>
  tls.source === 'acme' || tls.source === 'auto';

/** Whether some certificates come from the local CA. */
export const usesLocalCa = ({ source }: TlsSpec): boolean => source === 'local' || source === 'auto';

/** The source for one hostname. */
export function sourceFor(tls: TlsSpec, hostname: string): Exclude<TlsSpec, { source: 'auto' }> {
  if (tls.source !== 'auto') return tls;
  return covers(hostname) ? { source: 'local' } : { ...tls, source: 'acme' };
}
