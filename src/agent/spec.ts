import type { TlsSpec } from '../certificates/spec.js';
import { kindOf as kindOfWire, type LeaseKind } from '../protocol/kind.js';
import type { Drain } from '../net/splice.js';
import { formatTarget, type Target } from '../net/target.js';
import type { Mode, WireMode } from './served-as.js';

export type { LeaseKind } from '../protocol/kind.js';
export type { Mode, ServedAs, WireMode } from './served-as.js';
export type { TlsSpec } from '../certificates/spec.js';

/** What the agent is asked to run: plain data, comparable field by field, free of anything read from disk. */

export type Carrier = 'raw' | 'tls' | 'ws';

/** A relay to hold a session with. */
export type RelaySpec =
  | {
      readonly kind: 'embedded';
      /** 0: any free port. */
      readonly port: number;
      /** Nobody asked for this very port: if it is taken, any other will do. */
      readonly orAnyPort?: true;
    }
  | UrlRelay
  /** The first of `hops`, reached through the others: visitors' side first, two of them or three. */
  | { readonly kind: 'chain'; readonly hops: readonly UrlRelay[] };

export interface UrlRelay {
  readonly kind: 'url';
  readonly url: string;
  readonly caFile?: string;
  /** The key that it must prove, where a list of relays names it. */
  readonly address?: string;
}

/** By which name the target finds itself asked: the public one, its own (`localhost:3000`), or any other. */
type HostSpec = 'visitor' | 'target' | (string & {});

/** Where one path of an http service goes. */
export interface RouteSpec {
  /** Begins with `/`; matches whole segments. */
  readonly prefix: string;
  readonly target: Target;
  /** The prefix is taken off before the request goes on. */
  readonly stripPrefix: boolean;
  /** As the service's, for this route. */
  readonly host?: HostSpec;
  /** Request headers to set; null takes one away. Values are secrets. */
  readonly headers: Readonly<Record<string, string | null>>;
  /** The same for the answer's headers. */
  readonly responseHeaders: Readonly<Record<string, string | null>>;
}

/** How targets that speak TLS themselves (`https://`) are known. */
export interface TargetTls {
  /** PEM of the CA that vouches for them, in place of the system's. */
  readonly caFile?: string;
  /** The name asked for and expected in the certificate, in place of the target's host. */
  readonly serverName?: string;
  /** Default: any certificate is accepted on this machine's loopback; others are verified. */
  readonly verify?: boolean;
}

/** The gates of a service: a visitor must pass each that is set. */
export interface AccessSpec {
  /** Addresses and ranges (CIDR) that get in. */
  readonly allowIps?: readonly string[];
  /** What visitors have to know. A secret. */
  readonly pin?: string;
}

/** That a service's requests are kept for the inspector, in mode http. */
export interface InspectSpec {
  /** Names of header fields that are secrets, besides the usual ones. */
  readonly mask: readonly string[];
  /** How they are kept beyond this run; false: not at all. */
  readonly history?: false | { readonly maxAgeMs?: number };
}

/** How Portal checks the target. */
export interface HealthSpec {
  /** To GET; left out, a connection is enough. */
  readonly path?: string;
  /** Pause between two checks. */
  readonly intervalMs: number;
  /** How long one check may take. */
  readonly timeoutMs: number;
}

/** When a service closes by itself. */
export type Expiry =
  /** After the start of the agent. */
  | { readonly afterMs: number }
  /** At a moment, milliseconds since the epoch. */
  | { readonly at: number };

/** One service of the file, with every default filled in. */
export interface ServiceSpec {
  /** The key under `services:`. */
  readonly service: string;
  /** One DNS label: the name asked from each relay. */
  readonly name: string;
  readonly mode: Mode;
  /** In mode http the target of the route `/`, or else of the first. */
  readonly target: Target;
  /** In mode http, and empty in the others. */
  readonly routes: readonly RouteSpec[];
  /** In mode http, for routes that say nothing else. Default: `visitor`. */
  readonly host?: HostSpec;
  /** Protocols offered to the visitor, best first (RFC 7301); `auto` offers what the target speaks. */
  readonly alpn: readonly string[] | 'auto';
  readonly carrier: Carrier;
  readonly tls: TlsSpec;
  /** Address of the identity that must own the name, as it is written; left out, any may. */
  readonly identity?: string;
  /** A domain of the user's own, in place of the name under the relay's domain. */
  readonly hostname: string | undefined;
  /** The public port to ask for, in the modes tcp and udp. */
  readonly port: number | undefined;
  /** Tells the target the visitor's address ahead of the bytes (PROXY protocol v2). */
  readonly proxyProtocol: boolean;
  readonly targetTls: TargetTls;
  readonly metadata: Readonly<Record<string, string>>;
  readonly expires: Expiry | undefined;
  readonly access: AccessSpec;
  /** false: targets that are read as HTTP are not told for whom a request is (X-Forwarded-For and its kin). */
  readonly forwarded?: false;
  /** Default: requests are not recorded. */
  readonly inspect?: InspectSpec;
  /** Default: only `status` checks, by a connection. */
  readonly health?: HealthSpec;
  /** In mode udp: answers of the target may come from another of its ports than the one that was asked. */
  readonly udp?: { readonly replyFromAnyPort?: boolean };
  /** How long connections to a former target may live on. Default: RETIRE_MS. */
  readonly retireMs?: number;
  /** Relays this service is published on: the pool, unless it names its own. */
  readonly relays: readonly RelaySpec[];
  /** It is on the pool: what the pool takes besides the relays that the file names, this service is on as well. */
  readonly onPool?: true;
}

/**
 * A relay's key in maps and events: its origin, `embedded:PORT` with the port that it has once it runs, or a chain's origins as
 * `--chain` takes them, visitors' side first.
 */
export function relayKey(relay: RelaySpec): string {
  if (relay.kind === 'chain') return relay.hops.map(relayKey).join(',');
  return relay.kind === 'embedded' ? `embedded:${relay.port}` : new URL(relay.url).origin;
}

/**
 * How a service's visitors are served, as far as its settings say: a PIN is asked for over HTTP, so requests are read then.
 * `auto`: its target says the rest.
 */
export function servedMode({ mode, access }: Pick<ServiceSpec, 'mode' | 'access'>): Mode {
  return (mode === 'stream' || mode === 'auto') && access.pin !== undefined ? 'http' : mode;
}

/** What a relay is asked for: how bytes are served behind one hostname is the agent's own affair. */
export function wireMode(mode: Mode): WireMode {
  return mode === 'auto' ? 'stream' : mode;
}

export function kindOf(mode: Mode): LeaseKind {
  return kindOfWire(wireMode(mode));
}

const RETIRE_MS = 5 * 60_000;

/** How connections end whose service is served another way, or from another target, than when they began. */
export function retirementOf({
  retireMs = RETIRE_MS,
}: Pick<ServiceSpec, 'retireMs'>): Drain & { retires: true } {
  return { ms: retireMs, retires: true };
}

/** Every local service that `spec` leads to, each once. */
export function targetsOf({ target, routes }: Pick<ServiceSpec, 'target' | 'routes'>): Target[] {
  const all = routes.length > 0 ? routes.map((route) => route.target) : [target];
  return [...new Map(all.map((each) => [formatTarget(each), each])).values()];
}
