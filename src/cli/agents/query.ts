import pLimit from 'p-limit';
import { AgentsClient } from '../../agent/agents-client.js';
import type { UrlRelay } from '../../agent/spec.js';
import { asPortalError, type PortalError } from '../../lib/errors.js';
import type { AgentsAnswer } from '../../protocol/agents.js';
import { endpointOf } from '../../reconcile/endpoint.js';
import { proxyFor } from '../proxy.js';
import type { RelaysToQuery } from './relays.js';

/** Timeout of one answer. Signing in takes three answers. */
const ANSWER_MS = 5_000;
const AT_A_TIME = 16;

/** The answer of one relay, or its error. */
export type Asked<T> = { readonly relay: string } & (Answered<T> | Failed);

interface Answered<T> {
  readonly answer: T;
}

interface Failed {
  readonly error: PortalError;
}

/** Signs in at all relays in parallel, runs `action` at each, and signs out. */
export async function queryEach<T>(
  { relays, identity, trust }: RelaysToQuery,
  action: (client: AgentsClient, relay: string) => Promise<T>,
): Promise<Asked<T>[]> {
  const limit = pLimit(AT_A_TIME);
  const one = async (relay: UrlRelay): Promise<Asked<T>> => {
    const { url } = relay;
    try {
      const endpoint = {
        ...(await endpointOf(relay, proxyFor)),
        trust: (address: string) => trust(relay, address),
      };
      const client = await AgentsClient.signIn({ endpoint, identity, ms: ANSWER_MS });
      try {
        return { relay: url, answer: await action(client, url) };
      } finally {
        await client.close();
      }
    } catch (error) {
      return { relay: url, error: asPortalError(error) };
    }
  };
  return Promise.all(relays.map((relay) => limit(() => one(relay))));
}

export const answersOf = <T>(asked: readonly Asked<T>[]): { relay: string; answer: T }[] =>
  asked.flatMap((one) => ('answer' in one ? [one] : []));

export const errorsOf = <T>(asked: readonly Asked<T>[]): { relay: string; error: PortalError }[] =>
  asked.flatMap((one) => ('error' in one ? [one] : []));

export const viewEach = (relays: RelaysToQuery): Promise<Asked<AgentsAnswer>[]> =>
  queryEach(relays, (client) => client.agents());
