import { fetchOnce, type Fetched, type GetOptions } from '../net/get.js';
import { connectError } from './connect.js';
import { openWay, relayTls, wayTo, type RelayEndpoint } from './relay-way.js';

/** One GET over HTTPS, bounded in time and in bytes: relays' descriptors, lists of relays. */

export type { Fetched } from '../net/get.js';

export interface FetchOptions extends GetOptions {
  /** For all of it, from the connection's opening to the last byte. */
  readonly ms: number;
  readonly signal?: AbortSignal;
}

/** Follows no redirects. Throws `relay_unreachable`, `relay_untrusted`, `timeout`, or `limit_exceeded` for what is too long. */
export async function fetchFrom(endpoint: RelayEndpoint, options: FetchOptions): Promise<Fetched> {
  try {
    return await fetchOnce(endpoint.url, {
      ...options,
      open: (ms) => openWay(wayTo(endpoint), ms, options.signal),
      tls: (plain) => relayTls(endpoint, plain),
    });
  } catch (error) {
    throw connectError(error, endpoint.url);
  }
}
