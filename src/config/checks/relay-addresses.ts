import { isIP } from 'node:net';
import { isLoopback } from '../../net/target/target.js';
import { finding, type Finding } from '../text/finding.js';
import { relayLists } from './relay-refs.js';
import type { Tree } from '../text/tree.js';

/**
 * Warns about relays whose URL has an IP address. This is not an error, because an agent retries a relay that it cannot
 * verify, and other relays of the file work.
 */
export function relaysByAddress(root: Tree): Finding[] {
  return relayLists(root)
    .flat()
    .flatMap(({ origin, urlPath }) => {
      const hint = origin === undefined ? undefined : domainFor(new URL(origin));
      if (hint === undefined) return [];
      const message = 'a relay has no certificate for an IP address, so the agent cannot verify it';
      return [finding(root, urlPath, { message, hint })];
    });
}

/** What to write instead of an IP address. Undefined for a name. */
function domainFor({ hostname, port }: URL): string | undefined {
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0) return undefined;
  return isLoopback(host)
    ? `Write https://localhost${port === '' ? '' : `:${port}`}.`
    : 'Write the domain of the relay, as in https://relay.example.com.';
}
