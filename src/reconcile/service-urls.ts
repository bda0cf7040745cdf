import type { ServiceUrls } from '../agent/commands/environment.js';
import type { AgentLease } from '../agent/lease.js';
import type { Desired } from '../config/desired.js';
import { relayKey } from '../agent/spec.js';
import { expectedUrl } from './expected-address.js';

type Lease = Pick<AgentLease, 'spec' | 'relay' | 'address'>;

/**
 * The public URLs of each service, in the order of its relays: the URL that a relay has assigned, else the expected one. A
 * name belongs to an identity, so its URL is known before a relay responds. A port that the file does not set is not.
 */
export function serviceUrls(desired: Desired, leases: readonly Lease[]): ServiceUrls {
  return new Map(
    desired.services.map((spec) => [
      spec.service,
      spec.relays.flatMap((relay) => {
        const key = relayKey(relay);
        const lease = leases.find((each) => each.spec.service === spec.service && each.relay === key);
        return (lease && urlOf(lease)) ?? expectedUrl({ relay, spec }) ?? [];
      }),
    ]),
  );
}

function urlOf({ address: { url, tcpAddr, udpAddr } }: Lease): string | undefined {
  if (url !== undefined) return url;
  if (tcpAddr !== undefined) return `tcp://${tcpAddr}`;
  return udpAddr === undefined ? undefined : `udp://${udpAddr}`;
}
