import type { ServiceUrls } from '../agent/commands/environment.js';
import { relayKey } from '../agent/spec.js';
import type { PublicAddress } from '../agent/status.js';
import type { Desired } from '../config/desired.js';
import { expectedUrl } from './expected-address.js';

/** Where a relay has published a service. */
export interface Published extends PublicAddress {
  readonly service: string;
  readonly relay: string;
}

/**
 * The public URLs of each service, in the order of its relays: the URL that a relay has assigned, else the expected one. A
 * name belongs to an identity, so its URL is known before a relay responds. A port that the file does not set is not.
 */
export function serviceUrls(desired: Desired, published: readonly Published[]): ServiceUrls {
  return new Map(
    desired.services.map((spec) => [
      spec.service,
      spec.relays.flatMap((relay) => {
        const key = relayKey(relay);
        const place = published.find((each) => each.service === spec.service && each.relay === key);
        return (place && urlOf(place)) ?? expectedUrl({ relay, spec }) ?? [];
      }),
    ]),
  );
}

function urlOf({ url, tcpAddr, udpAddr }: Published): string | undefined {
  if (url !== undefined) return url;
  if (tcpAddr !== undefined) return `tcp://${tcpAddr}`;
  return udpAddr === undefined ? undefined : `udp://${udpAddr}`;
}
