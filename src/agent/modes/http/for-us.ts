import { fromAnotherSite, PAGES, type Page } from '../../pages.js';
import { isHost, valuesOf, type Exchange } from './exchange.js';

const LOCAL = String.raw`(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?`;
const LOCAL_HOST = new RegExp(`^${LOCAL}$`, 'i');
const LOCAL_ORIGIN = new RegExp(`^https?://${LOCAL}$`);

/** Values of Sec-Fetch-Site (Fetch Metadata, section 2.3) that no page of another site can cause. Old browsers send none. */
const OWN_SITES: ReadonlySet<string> = new Set(['', 'none', 'same-origin', 'same-site']);

/** Whether the Host header names the service. The owner may repeat any request. */
export function isForUs({ authority, client: { hostname, isConnect, socket } }: Exchange): boolean {
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
  // A page that sends no Referer posts to its own server with the origin `null`.
  const isOwn = origin === '' || LOCAL_ORIGIN.test(origin) || (origin === 'null' && site === 'same-origin');
  return isOwn && OWN_SITES.has(site) ? undefined : fromAnotherSite;
}
