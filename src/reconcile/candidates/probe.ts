import { fetchDescriptor, type SignedDescriptor } from '../../agent/session/directory.js';
import type { UrlRelay } from '../../agent/spec.js';
import { endpointOf, type ProxyFor } from '../relays/endpoint.js';
import type { RelayTrust } from '../relays/relays.js';
import { expectKey } from './candidate.js';

export interface ProbeOptions {
  readonly proxyFor?: ProxyFor;
  readonly trust?: RelayTrust;
  readonly ms: number;
  readonly signal?: AbortSignal;
}

/**
 * Queries a relay's descriptor and round-trip time. Its key must match the list and the trusted keys. The relay still has to
 * prove that key when a session opens.
 */
export async function probe(
  relay: UrlRelay,
  { proxyFor, trust, ms, signal }: ProbeOptions,
): Promise<{ descriptor: SignedDescriptor; rttMs: number }> {
  const found = await fetchDescriptor(await endpointOf(relay, proxyFor), ms, signal);
  expectKey(relay, found.descriptor.address);
  await trust?.check(relay.url, found.descriptor.address);
  return found;
}
