import pLimit from 'p-limit';
import { AgentsClient } from '../../agent/agents-client.js';
import type { UrlRelay } from '../../agent/spec.js';
import { asPortalError, type PortalError } from '../../lib/errors.js';
import type { AgentsResponse } from '../../protocol/agents.js';
import { endpointOf } from '../../reconcile/relays/endpoint.js';
import { proxyFor } from '../proxy.js';
import type { RelaysToQuery } from './relays.js';

/** Timeout of one response. A sign-in takes three responses. */
const RESPONSE_MS = 5_000;
const AT_A_TIME = 16;

/** The response of one relay, or its error. */
export type QueryResult<T> = { readonly relay: string } & (Responded<T> | Failed);

interface Responded<T> {
  readonly response: T;
}

interface Failed {
  readonly error: PortalError;
}

/** Signs in at all relays in parallel, runs `action` at each, and signs out. */
export async function queryEach<T>(
  { relays, identity, trust }: RelaysToQuery,
  action: (client: AgentsClient, relay: string) => Promise<T>,
): Promise<QueryResult<T>[]> {
  const limit = pLimit(AT_A_TIME);
  const one = async (relay: UrlRelay): Promise<QueryResult<T>> => {
    const { url } = relay;
    try {
      const endpoint = {
        ...(await endpointOf(relay, proxyFor)),
        trust: (address: string) => trust(relay, address),
      };
      const client = await AgentsClient.signIn({ endpoint, identity, ms: RESPONSE_MS });
      try {
        return { relay: url, response: await action(client, url) };
      } finally {
        await client.close();
      }
    } catch (error) {
      return { relay: url, error: asPortalError(error) };
    }
  };
  return Promise.all(relays.map((relay) => limit(() => one(relay))));
}

export const responsesOf = <T>(asked: readonly QueryResult<T>[]): { relay: string; response: T }[] =>
  asked.flatMap((one) => ('response' in one ? [one] : []));

export const errorsOf = <T>(asked: readonly QueryResult<T>[]): { relay: string; error: PortalError }[] =>
  asked.flatMap((one) => ('error' in one ? [one] : []));

export const viewEach = (relays: RelaysToQuery): Promise<QueryResult<AgentsResponse>[]> =>
  queryEach(relays, (client) => client.agents());
