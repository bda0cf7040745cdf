/** The package brings no types. */
declare module 'proxy-from-env' {
  /** The proxy's URL; empty for none. */
  export function getProxyForUrl(url: string): string;
}
