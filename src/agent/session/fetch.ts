import { fetchOnce, type Fetched, type GetOptions } from '../../net/http/get.js';
import { connectError } from './connect-error.js';
import { openTcp, relayTls, destinationOf, type RelayEndpoint } from './relay-endpoint.js';

/** One GET over HTTPS with a timeout and a size limit: relays' descriptors, lists of relays. */

export type { Fetched } from '../../net/http/get.js';

export interface FetchOptions extends GetOptions {
  /** Timeout from the start of the connection to the last byte. */
  readonly ms: number;
  readonly signal?: AbortSignal;
}

/**
 * Follows no redirects. Throws `relay_unreachable`, `relay_untrusted`, `timeout`, or `limit_exceeded` for a response that is
 * too long.
 */
export async function fetchFrom(endpoint: RelayEndpoint, options: FetchOptions): Promise<Fetched> {
  try {
    return await fetchOnce(endpoint.url, {
      ...options,
      open: (ms) => openTcp(destinationOf(endpoint), ms, options.signal),
      tls: (plain) => relayTls(endpoint, plain),
    });
  } catch (error) {
    throw connectError(error, endpoint);
  }
}
