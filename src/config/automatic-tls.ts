import { isIP } from 'node:net';
import type { RelaySpec } from '../agent/spec.js';
import { covers } from '../certificates/local-names.js';
import { LETS_ENCRYPT, type AcmeSpec, type TlsSpec } from '../certificates/spec.js';

/** `tls: auto`: the local CA for local names, and a public CA for public ones. */

/** What decides where certificates come from. */
export interface Names {
  readonly hostname: string | undefined;
  readonly relays: readonly RelaySpec[];
  /** The agent chooses more relays, which are not known yet. */
  readonly onPool?: boolean;
}

/** Public CAs connect to no other port. A CA of `acme: { directory }` may. */
const HTTPS = 443;

export type NameKind =
  /** The local CA issues certificates. */
  | 'local'
  /** A public CA can reach the name. */
  | 'public'
  /** No CA can issue a certificate. */
  | 'none';

/** The names that a relay gives a service, for messages. Undefined if its URL has an address. */
export function namesAt({ hostname }: Names, relay: RelaySpec): string | undefined {
  if (hostname !== undefined) return hostname;
  const host = urlOf(relay)?.hostname;
  return host === undefined || isIP(host) || host.startsWith('[') ? undefined : host;
}

export function kindAt(names: Names, relay: RelaySpec, { directory }: AcmeSpec): NameKind {
  const name = namesAt(names, relay);
  // A relay may assign names below a domain other than that of its URL.
  if (name === undefined || covers(name)) return 'local';
  const url = urlOf(relay);
  if (!url) return 'none';
  return Number(url.port || HTTPS) === HTTPS || directory !== LETS_ENCRYPT ? 'public' : 'none';
}

/** The source of a service without `tls`. */
export function automaticTls(names: Names, acme: AcmeSpec): TlsSpec {
  const kinds = names.relays.map((relay) => kindAt(names, relay, acme));
  const isPublic = kinds.includes('public') || names.onPool === true;
  if (!isPublic) return { source: 'local' };
  return kinds.every((kind) => kind === 'public') && !names.onPool
    ? { source: 'acme', ...acme }
    : { source: 'auto', ...acme };
}

function urlOf(relay: RelaySpec): URL | undefined {
  if (relay.kind === 'embedded') return undefined;
  return new URL(relay.kind === 'chain' ? relay.hops[0]!.url : relay.url);
}
