import { valuesOf, type Exchange } from '../modes/http/exchange/exchange.js';

/** Who sent a request, as browsers say it: Fetch Metadata (section 2.3), and `Origin` (RFC 6454). */

type Sent = Pick<Exchange, 'headers' | 'authority' | 'client'>;

/** Methods that change nothing (RFC 9110, section 9.2.1). */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

const siteOf = (exchange: Pick<Exchange, 'headers'>): string => valuesOf(exchange, 'sec-fetch-site');

/**
 * Whether a page of this host sent the request, or a program. Services of other people at the same relay are of the same site, so
 * `same-site` does not count.
 */
export function isFromOwnPage(exchange: Sent): boolean {
  const site = siteOf(exchange);
  return site === '' ? hasOwnOrigin(exchange) : site === 'same-origin';
}

/** Whether a browser says that a page of another site caused the request. A link to this host is such a cause, too. */
export const isFromOtherSite = (exchange: Pick<Exchange, 'headers'>): boolean =>
  !['', 'none', 'same-origin'].includes(siteOf(exchange));

/**
 * Whether a page of another site sends a request that may change something, or that opens a WebSocket. The visitor's browser
 * adds its cookies and its password, even for pages of other people at the same relay.
 */
export function isForeign(exchange: Sent & Pick<Exchange, 'method' | 'upgrade'>): boolean {
  const { method, upgrade, client } = exchange;
  // `for-us.ts` judges what `portal connect` forwards.
  if (client.isConnect || (upgrade === undefined && SAFE.has(method))) return false;
  return siteOf(exchange) !== 'none' && !isFromOwnPage(exchange);
}

/** Old browsers send no Fetch Metadata, and Chromium sends none with a WebSocket. Programs send no `Origin`. */
function hasOwnOrigin(exchange: Sent): boolean {
  const origin = valuesOf(exchange, 'origin').toLowerCase();
  const host = exchange.authority.toLowerCase();
  if (origin === '' || origin === `https://${host.replace(/:443$/, '')}`) return true;
  return exchange.client.isConnect === true && origin === `http://${host}`;
}
