import { isIP } from 'node:net';
import type { RelaySpec, ServiceSpec } from '../agent/spec.js';
import { covers } from '../certificates/local-names.js';
import type { Desired } from './desired.js';
import { finding, type Finding } from './finding.js';
import { listOf } from './suggest.js';
import type { Tree } from './tree.js';

/**
 * Warns about services whose public name the local CA probably does not cover. This is not an error, because a relay may
 * assign names below a domain other than its URL's.
 */
export function uncertified({ services }: Desired, root: Tree): Finding[] {
  const found = services.flatMap((spec) => {
    const names = uncovered(spec);
    return names === undefined ? [] : [{ service: spec.service, names }];
  });
  const [first] = found;
  if (!first) return [];
  const what = found.map(({ service }) => JSON.stringify(service));
  const message = `${what.length === 1 ? 'service' : 'services'} ${listOf(what, 'and')} will get no certificate: the local CA, which is the default, issues none for ${first.names}`;
  const hint = 'Add `tls: acme`, or your own certificate: `tls: { cert, key }`.';
  return [finding(root, ['services', first.service], { message, hint })];
}

/** The names of a service for which the local CA issues no certificate. */
function uncovered({ mode, tls, hostname, relays }: ServiceSpec): string | undefined {
  if (mode === 'tcp' || mode === 'udp' || tls.source !== 'local') return undefined;
  if (hostname !== undefined) return covers(hostname) ? undefined : hostname;
  const host = relays.map(hostOf).find((each) => each !== undefined && !covers(each));
  return host === undefined ? undefined : `names below ${host}`;
}

/** The domain below which a relay probably assigns names. Undefined if its URL has an address. */
function hostOf(relay: RelaySpec): string | undefined {
  if (relay.kind === 'embedded') return undefined;
  const { url } = relay.kind === 'chain' ? relay.hops[0]! : relay;
  const { hostname } = new URL(url);
  return isIP(hostname) || hostname.startsWith('[') ? undefined : hostname;
}
