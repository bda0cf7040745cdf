import { valuesOf, type Exchange } from '../modes/http/exchange.js';

/**
 * Whether a page of this host has sent a form, or a browser that does not say (Fetch Metadata, section 2.3). Services of other
 * people at the same relay are of the same site, so `same-site` does not count.
 */
export function isFromOwnPage(exchange: Pick<Exchange, 'headers'>): boolean {
  return ['', 'same-origin'].includes(valuesOf(exchange, 'sec-fetch-site'));
}
