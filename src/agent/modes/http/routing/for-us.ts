import type { Page } from '../../../pages/page.js';
import { PAGES } from '../../../pages/pages.js';
import { fromAnotherSite } from '../../../access/gate-pages.js';
import { isHost, valuesOf, type Exchange } from '../exchange/exchange.js';

/** Browsers look up no name below `localhost`: the pages of each such name are a site of their own, with its own cookies. */
const LOCAL = String.raw`(?:(?:[\w-]+\.)*localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?`;
const LOCAL_HOST = new RegExp(`^${LOCAL}$`, 'i');
const LOCAL_ORIGIN = new RegExp(`^https?://${LOCAL}$`);

/**
 * Values of Sec-Fetch-Site (Fetch Metadata, section 2.3) that no page of another origin can cause. Old browsers send none. A page of
 * another port of this machine is `same-site`: it may belong to another service of `portal connect`, whose owner is someone else.
 */
const OWN_ORIGINS: ReadonlySet<string> = new Set(['', 'none', 'same-origin']);

/** Whether the Host header names the service. The owner may repeat any request. */
export function isForUs({
  authority,
  client: { hostname, isConnect, socket },
}: Pick<Exchange, 'authority' | 'client'>): boolean {
  return socket === undefined || isConnect === true || isHost(authority, hostname);
}

/**
 * Why a request through `portal connect` is rejected, if it is. Each web page that its user opens can send requests to the local
 * port: forms and WebSockets to a name of this machine, and anything to a name of its own that leads there (DNS rebinding). The
 * relay owns the public name of the service, and can let it lead there too.
 */
export function foreignPage(exchange: Exchange): Page | undefined {
  if (!exchange.client.isConnect) return undefined;
  if (!LOCAL_HOST.test(exchange.authority)) return PAGES.misdirected;
  const origin = valuesOf(exchange, 'origin');
  const site = valuesOf(exchange, 'sec-fetch-site');
  return isOwn(origin, site, exchange.authority) && OWN_ORIGINS.has(site) ? undefined : fromAnotherSite;
}

function isOwn(origin: string, site: string, authority: string): boolean {
  if (origin === '') return true;
  // A page that sends no Referer posts to its own server with the origin `null`. A development server forwards requests of its page.
  if (site === 'same-origin') return origin === 'null' || LOCAL_ORIGIN.test(origin);
  return origin.toLowerCase() === `http://${authority.toLowerCase()}`;
}
