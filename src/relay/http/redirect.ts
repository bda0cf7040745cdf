import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { closeUnlessBody, refuse } from './messages.js';

/** Plain HTTP: every request is redirected to https. */

export interface RedirectParts {
  /** The relay's own URL. */
  readonly url: () => string;
  /** Whether this relay has a service for `hostname`. */
  readonly serves: (hostname: string) => boolean;
}

export function redirect(request: IncomingMessage, response: ServerResponse, parts: RedirectParts): void {
  const location = secureUrl(request, parts);
  const head = {
    ...(location === undefined ? { 'cache-control': 'no-store' } : { location }),
    ...closeUnlessBody(request),
  };
  response.writeHead(location === undefined ? 404 : 308, head).end();
}

/** Responds to a request to upgrade, for example to h2c: its client accepts an ordinary response as well (RFC 9110 §7.8). */
export function redirectUpgrade(request: IncomingMessage, socket: Duplex, parts: RedirectParts): void {
  const location = secureUrl(request, parts);
  if (location === undefined) refuse(socket, '404 Not Found', 'Cache-Control: no-store\r\n');
  else refuse(socket, '308 Permanent Redirect', `Location: ${location}\r\n`);
}

/**
 * The https URL of a request. It is on the same host if this relay knows the name, and on the relay itself if the request
 * has no host or an IP address. Undefined for other names: an agent may serve them later, and browsers remember a 308.
 */
function secureUrl(request: IncomingMessage, { url: own, serves }: RedirectParts): string | undefined {
  const url = new URL(own());
  const host = (request.headers.host ?? '').toLowerCase().replace(/:\d*$/, '');
  const name = /^([a-z0-9._-]+?)\.?$/.exec(host)?.[1];
  if (name !== undefined && (name.endsWith(`.${url.hostname}`) || serves(name))) url.hostname = name;
  else if (host !== '' && name !== url.hostname && isIP(host.replace(/^\[|\]$/g, '')) === 0) return undefined;
  const path = request.url?.startsWith('/') ? request.url : '/';
  // Node's parser accepts bytes that Node does not send in a header.
  return url.origin + path.replace(/[^!-~]/g, (byte) => encodeURIComponent(byte));
}
