/** Where a hostname's certificate comes from; paths are absolute. Plain data, comparable field by field. */
export type TlsSpec =
  | { readonly source: 'local' }
  | { readonly source: 'files'; readonly certFile: string; readonly keyFile: string }
  | ({ readonly source: 'acme' } & AcmeSpec);

/** A public CA, over ACME (RFC 8555). */
export interface AcmeSpec {
  /** URL of its directory. */
  readonly directory: string;
  /** Whom it may write to. */
  readonly email?: string;
  /** PEM file of the CA to trust for the directory's own HTTPS, in place of the system's. */
  readonly caFile?: string;
}

export const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';
