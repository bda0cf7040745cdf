/** What HTTP says of header names, where both the configuration and the proxy need it. Names in lower case. */

/** About one connection alone (RFC 9110, section 7.6.1): never passed on, and nobody's to set. */
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

/** Where a message ends and to whom it goes: Portal's own to say. */
export const FRAMING_HEADERS: ReadonlySet<string> = new Set(['content-length', 'expect', 'host']);

/** RFC 9110, section 5.6.2. */
export const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
