/** The source of a hostname's certificate. Paths are absolute. Plain data, comparable field by field. */
export type TlsSpec =
  | { readonly source: 'local' }
  | { readonly source: 'files'; readonly certFile: string; readonly keyFile: string }
  | ({ readonly source: 'acme' } & AcmeSpec);

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
