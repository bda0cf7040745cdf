import type { TlsSpec } from '../certificates/spec.js';
import type { ReplicaPolicy } from '../protocol/messages.js';
import { kindOf as kindOfWire, type LeaseKind } from '../protocol/kind.js';
import type { Drain } from '../net/splice/splice.js';
import { formatTarget, type Target } from '../net/target/target.js';
import { readsHttp } from './access/kinds.js';
import type { Mode, WireMode } from './served-as.js';

export type { LeaseKind } from '../protocol/kind.js';
export type { Mode, ServedAs, WireMode } from './served-as.js';
export type { TlsSpec } from '../certificates/spec.js';

/** What the agent runs: plain data, comparable field by field, without anything read from disk. */

export type Carrier = 'raw' | 'tls' | 'ws';

/** A relay to connect to. */
export type RelaySpec =
  | {
      readonly kind: 'embedded';
      /** 0: any free port. */
      readonly port: number;
      /** The port was not requested: if it is in use, any other will do. */
      readonly orAnyPort?: true;
    }
  | UrlRelay
  /** The first of `hops`, reached through the others: two or three, the visitors' side first. */
  | { readonly kind: 'chain'; readonly hops: readonly UrlRelay[] };

export interface UrlRelay {
  readonly kind: 'url';
  readonly url: string;
  readonly caFile?: string;
  /** The key that it must prove, if a list of relays names it. */
  readonly address?: string;
}

/** The host name that the target sees: the public one, its own (`localhost:3000`), or any other. */
type HostSpec = 'visitor' | 'target' | (string & {});

/** A program that the agent runs for a target. */
export interface CommandSpec {
  /** The text for the shell, exactly as in the file. */
  readonly run: string;
  /** Absolute path of the folder in which it runs. */
  readonly cwd: string;
  /** Variables in addition to those of the agent's process, which they override. Values are secrets. */
  readonly env: Readonly<Record<string, string>>;
  /** Variables of the files in `envFile`. The agent's process overrides them. Values are secrets. Default: none. */
  readonly envFile?: Readonly<Record<string, string>>;
}

/** One path of an http service. */
export interface RouteSpec {
  /** Starts with `/`; matches whole segments. */
  readonly prefix: string;
  /** Port 0 stands for a free port, which the agent chooses for `command`. */
  readonly target: Target;
  /** The program behind the target. Default: it runs without the agent. */
  readonly command?: CommandSpec;
  /** Whether the prefix is removed before the request is forwarded. */
  readonly stripPrefix: boolean;
  /** Overrides the service's `host` for this route. */
  readonly host?: HostSpec;
  /** Request headers to set; null removes one. Values are secrets. */
  readonly headers: Readonly<Record<string, string | null>>;
  /** The same for response headers. */
  readonly responseHeaders: Readonly<Record<string, string | null>>;
  /** Overrides the service's `hold` for this route. */
  readonly hold?: HoldSpec;
}

/** Holds POST requests while the target is down. */
export interface HoldSpec {
  /** How long each is held. */
  readonly forMs: number;
}

/** The longest time that a request may be held. */
export const MAX_HOLD_MS = 7 * 86_400_000;

/** How to verify targets that speak TLS (`https://`). */
export interface TargetTls {
  /** PEM file of the CA to trust. Default: the system's CAs. */
  readonly caFile?: string;
  /** The name to request and to expect in the certificate. Default: the target's host. */
  readonly serverName?: string;
  /** Default: accepts any certificate on loopback, and verifies others. */
  readonly verify?: boolean;
}

/** The gates of a service. A visitor must pass all of them. */
export interface AccessSpec {
  /** Allowed addresses and ranges (CIDR). */
  readonly allowIps?: readonly string[];
  /**
   * Addresses of the identities that may connect, EIP-55 and sorted, besides the owner. Default: visitors prove no identity.
   */
  readonly identities?: readonly string[];
  /** The PIN that visitors must enter. A secret. */
  readonly pin?: string;
  /** By user name: the hash of the password. Secrets. */
  readonly basic?: Readonly<Record<string, string>>;
  /** Who must sign in, and where. */
  readonly oidc?: OidcSpec;
  /** How many requests each visitor may send. */
  readonly rateLimit?: RateLimitSpec;
  /** How the sender of a webhook signs it. */
  readonly webhook?: WebhookSpec;
  /** Whether share links pass the gates that ask a person. Default: they pass the PIN only. */
  readonly sharing?: boolean;
}

/** Sign-in with an OpenID Connect provider. */
export interface OidcSpec {
  /** The URL of the provider, exactly as the provider calls itself. */
  readonly issuer: string;
  readonly clientId: string;
  /** A secret. Default: a public client, which PKCE alone protects. */
  readonly clientSecret?: string;
  /** A visitor needs one of these. Addresses must be verified by the provider. */
  readonly allow: {
    readonly emails?: readonly string[];
    readonly domains?: readonly string[];
    readonly groups?: readonly string[];
  };
}

export interface RateLimitSpec {
  /** The average, per second, minute or hour. */
  readonly requests: number;
  readonly per: 's' | 'm' | 'h';
  /** As many at once. */
  readonly burst: number;
}

export type WebhookProvider = 'github' | 'slack' | 'stripe';
export type HmacAlgorithm = 'sha1' | 'sha256' | 'sha512';

export type WebhookSpec =
  | { readonly provider: WebhookProvider; readonly secret: string }
  /** The field `header`, in lower case, has the HMAC of the body. */
  | { readonly header: string; readonly algorithm: HmacAlgorithm; readonly secret: string };

/** Settings for recording a service's requests, in mode http. */
export interface InspectSpec {
  /** Additional names of secret header fields. */
  readonly mask: readonly string[];
  /** How requests are kept beyond this run; false for not at all. */
  readonly history?: false | { readonly maxAgeMs?: number };
}

/** How Portal checks the target. */
export interface HealthSpec {
  /** Path to GET. Default: only a connection is checked. */
  readonly path?: string;
  /** Pause between two checks. */
  readonly intervalMs: number;
  /** Timeout of one check. */
  readonly timeoutMs: number;
}

/** When a service expires. */
export type Expiry =
  /** Relative to the start of the agent. */
  | { readonly afterMs: number }
  /** At a time in milliseconds since the epoch. */
  | { readonly at: number };

/** One service of the file, with all defaults filled in. */
export interface ServiceSpec {
  /** The key under `services:`. */
  readonly service: string;
  /** One DNS label: the name to request from each relay. */
  readonly name: string;
  readonly mode: Mode;
  /**
   * In mode http, the target of the route `/`, or else of the first route. Port 0 stands for a free port, which the agent
   * chooses for `command`.
   */
  readonly target: Target;
  /** The program behind the target, in a service without routes. Default: it runs without the agent. */
  readonly command?: CommandSpec;
  /** It runs only while one of these is active, or if it is named. Default: always. */
  readonly profiles?: readonly string[];
  /** Services whose targets must respond before the agent starts the commands of this one. */
  readonly dependsOn?: readonly string[];
  /** In mode http; empty in other modes. */
  readonly routes: readonly RouteSpec[];
  /** In mode http, for routes without their own. Default: `visitor`. */
  readonly host?: HostSpec;
  /** In mode http, for routes without their own. Default: requests are not held. */
  readonly hold?: HoldSpec;
  /** ALPN protocols to offer to the visitor, best first (RFC 7301). `auto` offers the target's protocols. */
  readonly alpn: readonly string[] | 'auto';
  readonly carrier: Carrier;
  readonly tls: TlsSpec;
  /** Address of the identity that must own the name, as written. Default: any identity. */
  readonly identity?: string;
  /** The user's own domain. Default: the name under the relay's domain. */
  readonly hostname: string | undefined;
  /** The public port to request, in modes tcp and udp. */
  readonly port: number | undefined;
  /** Sends the visitor's address to the target before the bytes (PROXY protocol v2). */
  readonly proxyProtocol: boolean;
  readonly targetTls: TargetTls;
  readonly metadata: Readonly<Record<string, string>>;
  readonly expires: Expiry | undefined;
  readonly access: AccessSpec;
  /** false: HTTP targets do not get the visitor's address (X-Forwarded-For and related fields). */
  readonly forwarded?: false;
  /** Default: requests are not recorded. */
  readonly inspect?: InspectSpec;
  /** Default: only `status` checks, by a connection. */
  readonly health?: HealthSpec;
  /** Other agents of the identity may serve the name as well. Default: this agent serves it alone. */
  readonly replicas?: ReplicaPolicy;
  /** In mode udp: the target may reply from a port other than the addressed one. */
  readonly udp?: { readonly replyFromAnyPort?: boolean };
  /** How long connections to a former target may live. Default: RETIRE_MS. */
  readonly retireMs?: number;
  /** The relays of this service: the pool, unless it names its own. */
  readonly relays: readonly RelaySpec[];
  /** It uses the pool, including relays that the pool adds to those in the file. */
  readonly onPool?: true;
}

/**
 * A relay's key in maps and events: its origin, `embedded:PORT` with its actual port, or a chain's origins as for `--chain`,
 * visitors' side first.
 */
export function relayKey(relay: RelaySpec): string {
  if (relay.kind === 'chain') return relay.hops.map(relayKey).join(',');
  return relay.kind === 'embedded' ? `${EMBEDDED}${relay.port}` : new URL(relay.url).origin;
}

const EMBEDDED = 'embedded:';

/** @param key from `relayKey` */
export const isEmbeddedKey = (key: string): boolean => key.startsWith(EMBEDDED);

/** Whether POST requests wait while the target of the service, or of one of its routes, is down. */
export const holdsRequests = ({ hold, routes }: Pick<ServiceSpec, 'hold' | 'routes'>): boolean =>
  hold !== undefined || routes.some((route) => route.hold !== undefined);

/**
 * How a service's visitors are served according to its settings. Some gates read requests, and `hold` keeps them, so the service is
 * served as HTTP. `auto`: the target decides.
 */
export function servedMode({ mode, access, hold }: Pick<ServiceSpec, 'mode' | 'access' | 'hold'>): Mode {
  if (mode === 'auto' && hold) return 'http';
  return (mode === 'stream' || mode === 'auto') && readsHttp(access) ? 'http' : mode;
}

/** The mode to request from a relay. How bytes are served behind a hostname is only the agent's concern. */
export function wireMode(mode: Mode): WireMode {
  return mode === 'auto' ? 'stream' : mode;
}

export function kindOf(mode: Mode): LeaseKind {
  return kindOfWire(wireMode(mode));
}

const RETIRE_MS = 5 * 60_000;

/** How connections end when their service gets another target or mode. */
export function retirementOf({
  retireMs = RETIRE_MS,
}: Pick<ServiceSpec, 'retireMs'>): Drain & { retires: true } {
  return { ms: retireMs, retires: true };
}

/** A command, and how people and events call it. */
export interface NamedCommand {
  /** The service, with the route's prefix unless that is `/`. Unique in a configuration. */
  readonly name: string;
  readonly service: string;
  readonly command: CommandSpec;
  readonly target: Target;
  /** Its place in the file. */
  readonly path: readonly string[];
}

/** The programs that the agent runs for `spec`. */
export function commandsOf({
  service,
  command,
  target,
  routes,
}: Pick<ServiceSpec, 'service' | 'command' | 'target' | 'routes'>): NamedCommand[] {
  const path = ['services', service];
  if (command) return [{ name: service, service, command, target, path: [...path, 'command'] }];
  return routes.flatMap((route) =>
    route.command === undefined
      ? []
      : [
          {
            name: route.prefix === '/' ? service : `${service}${route.prefix}`,
            service,
            command: route.command,
            target: route.target,
            path: [...path, 'routes', route.prefix, 'command'],
          },
        ],
  );
}

/** `spec` with another target in each place. */
export function withTargets(
  spec: ServiceSpec,
  place: (target: Target, command?: CommandSpec) => Target,
): ServiceSpec {
  const routes = spec.routes.map((route) => ({ ...route, target: place(route.target, route.command) }));
  const first = routes.find(({ prefix }) => prefix === '/') ?? routes[0];
  return { ...spec, routes, target: first?.target ?? place(spec.target, spec.command) };
}

/** Every local service of `spec`, each once. */
export function targetsOf({ target, routes }: Pick<ServiceSpec, 'target' | 'routes'>): Target[] {
  const all = routes.length > 0 ? routes.map((route) => route.target) : [target];
  return [...new Map(all.map((each) => [formatTarget(each), each])).values()];
}
