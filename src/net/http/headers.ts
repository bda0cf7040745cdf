/** Facts about HTTP header names that the configuration and the proxy share. Names are in lower case. */

/** Hop-by-hop headers (RFC 9110, section 7.6.1): never forwarded, and never configurable. */
export const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Message length and host: only Portal sets them. */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set(['content-length', 'expect', 'host']);

/** RFC 9110, section 5.6.2. */
export const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
