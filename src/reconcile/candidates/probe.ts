import { askRelay, type SignedDescriptor } from '../../agent/directory.js';
import type { UrlRelay } from '../../agent/spec.js';
import { endpointOf, type ProxyFor } from '../endpoint.js';
import type { RelayTrust } from '../relays.js';
import { expectKey } from './candidate.js';

export interface ProbeOptions {
  readonly proxyFor?: ProxyFor;
  readonly trust?: RelayTrust;
  readonly ms: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks a relay what it is and how far away. What it says of its key must be what the list says and what is
 * trusted; it has to prove it all the same once there is a session.
 */
export async function probe(
  relay: UrlRelay,
  { proxyFor, trust, ms, signal }: ProbeOptions,
): Promise<{ descriptor: SignedDescriptor; rttMs: number }> {
  const answer = await askRelay(await endpointOf(relay, proxyFor), ms, signal);
  expectKey(relay, answer.descriptor.address);
  await trust?.check(relay.url, answer.descriptor.address);
  return answer;
}
