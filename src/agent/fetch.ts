import type { TLSSocket } from 'node:tls';
import { within } from '../lib/wait.js';
import { getOver, type Fetched, type GetOptions } from '../net/get.js';
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
  const { ms, signal } = options;
  const startedAt = performance.now();
  let socket: TLSSocket | undefined;
  try {
    const plain = await openWay(wayTo(endpoint), ms, signal);
    socket = relayTls(endpoint, plain);
    const leftMs = Math.max(1, ms - (performance.now() - startedAt));
    return await within(
      getOver(socket, endpoint.url, options),
      leftMs,
      `an answer of ${endpoint.url}`,
      signal,
    );
  } catch (error) {
    throw connectError(error, endpoint.url);
  } finally {
    socket?.destroy();
  }
}
