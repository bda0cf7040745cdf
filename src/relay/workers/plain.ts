import { identityFromPrivateKey, privateKeyOf } from '../../identity/keys.js';
import { AddressSet } from '../../net/cidr.js';
import type { DenyList } from '../protection/access-lists.js';
import type { LabelList } from '../names/labels.js';
import type { BuildInfo } from '../../metrics/metric.js';
import type { RelayOptions } from '../options.js';

/** The options of a relay as plain data, for its worker processes. */

export interface PlainList {
  readonly identities: ReadonlySet<string>;
  readonly addresses: readonly string[];
}

/** What an operator changes while the relay runs. */
interface PlainLists {
  readonly deny?: PlainList | undefined;
  readonly allow?: PlainList | undefined;
  readonly reservedLabels?: LabelList | undefined;
}

/** Options that need nothing but a copy. */
const COPIED = [
  'domain',
  'host',
  'port',
  'publicPort',
  'proxies',
  'datagramPort',
  'tlsTicketKeys',
  'httpRedirect',
  'dnsServers',
  'ports',
  'peers',
  'trustPeers',
  'descriptorLimit',
  'limits',
  'owner',
  'agents',
] as const satisfies (keyof RelayOptions)[];

export type PlainOptions = Pick<RelayOptions, (typeof COPIED)[number]> &
  PlainLists & {
    /** The private key of the relay's identity. */
    readonly key: string;
    readonly tls: { readonly cert: string; readonly key: string } | undefined;
    /** Listening sockets of the main process. They replace host and port. */
    readonly fds: readonly number[] | undefined;
    /** Undefined: nobody reads metrics. */
    readonly metrics: BuildInfo | undefined;
  };

export function plainOptions(options: RelayOptions, metrics: BuildInfo | undefined): PlainOptions {
  const { identity, tls, socket, deny, allow, reservedLabels } = options;
  const copied = Object.fromEntries(COPIED.map((name) => [name, options[name]]));
  return {
    ...(copied as Pick<RelayOptions, (typeof COPIED)[number]>),
    key: privateKeyOf(identity),
    tls: tls && { cert: tls.cert, key: tls.key },
    fds: socket?.fds,
    metrics,
    deny: deny && plainList(deny),
    allow: allow && plainList(allow),
    reservedLabels,
  };
}

/** The options of the relay in a worker, without what only that process has. */
export function optionsOf(plain: PlainOptions): Omit<RelayOptions, 'store'> {
  const { key, deny, allow, fds: _fds, metrics: _metrics, reservedLabels, ...copied } = plain;
  return {
    ...copied,
    identity: identityFromPrivateKey(key),
    ...(deny && { deny: listOf(deny) }),
    ...(allow && { allow: listOf(allow) }),
    ...(reservedLabels && { reservedLabels }),
  };
}

export function plainList({ identities, addresses }: DenyList): PlainList {
  return { identities, addresses: addresses.texts };
}

export function listOf({ identities, addresses }: PlainList): DenyList {
  return { identities, addresses: new AddressSet(addresses) };
}
