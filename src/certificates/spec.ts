/** Where a hostname's certificate comes from; paths are absolute. Plain data, comparable field by field. */
export type TlsSpec =
  | { readonly source: 'local' }
  | { readonly source: 'acme' }
  | { readonly source: 'files'; readonly certFile: string; readonly keyFile: string };
