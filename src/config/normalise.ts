import { resolve } from 'node:path';
import {
  kindOf,
  type AccessSpec,
  type Carrier,
  type Expiry,
  type HealthSpec,
  type HoldSpec,
  type InspectSpec,
  type RateLimitSpec,
  type RelaySpec,
  type RouteSpec,
  type ServiceSpec,
  type TargetTls,
  type TlsSpec,
  type UrlRelay,
  type WebhookSpec,
} from '../agent/spec.js';
import { checksummed } from '../lib/eip55.js';
import { LETS_ENCRYPT } from '../certificates/spec.js';
import { withAbsolutePath } from '../net/target/target.js';
import type { CandidatesSpec, Desired } from './desired.js';
import { commandOf, targetOf } from './normalise-command.js';
import { automaticTls, type Names } from './automatic-tls.js';
import { modeOf } from './checks/mode.js';
import { originOf } from './checks/relay-refs.js';
import type {
  Access,
  Health,
  Inspect,
  PortalConfig,
  RateLimit,
  Relay,
  Route,
  RouteOptions,
  Service,
  ServiceOptions,
  Webhook,
} from './schema/types.js';

export const DEFAULT_EMBEDDED_PORT = 8443;

/**
 * Fills in every default of a valid configuration and makes every path absolute.
 *
 * @param file absolute path of the file; undefined for standard input
 * @param directory base of relative paths
 */
export function normalise(config: PortalConfig, file: string | undefined, directory: string): Desired {
  const caFiles = caFilesOf(config, directory);
  const relay = (ref: Relay): UrlRelay => {
    const url = urlOf(ref);
    const caFile = caFiles.get(url);
    return { kind: 'url', url, ...(caFile === undefined ? {} : { caFile }) };
  };
  const relays = poolOf(config, relay);
  const chain = (via: string): RelaySpec => ({
    kind: 'chain',
    hops: (config.chains?.[via] ?? []).map(relay),
  });
  const absolute = (path: string): string => resolve(directory, path);
  const { team } = config;
  const candidates = candidatesOf(config, caFiles, directory);
  return {
    ...(candidates && { candidates }),
    file,
    ...(config.machine !== undefined && { machine: config.machine }),
    ...(team && { team: addressesOf(team) }),
    identityFile: config.identity === undefined ? undefined : resolve(directory, config.identity),
    relays,
    services: Object.entries(config.services).map(([key, service]) => {
      const onPool = candidates !== undefined && usesPool(service);
      const spec = serviceSpec(key, service, { relays, relay, chain, team, directory }, (tls, names) =>
        tlsSpec(tls, { ...names, onPool }, config.acme, directory),
      );
      const { targetTls } = spec;
      const caFile = targetTls.caFile !== undefined && { caFile: resolve(directory, targetTls.caFile) };
      return {
        ...spec,
        ...(candidates && usesPool(service) && { onPool: true as const }),
        target: withAbsolutePath(spec.target, absolute),
        routes: spec.routes.map((route) => ({ ...route, target: withAbsolutePath(route.target, absolute) })),
        targetTls: { ...targetTls, ...caFile },
      };
    }),
  };
}

/** Sorted and with checksums, so that another spelling or order is not a change. */
function addressesOf(identities: readonly string[]): string[] {
  return [...new Set(identities.map(checksummed))].toSorted();
}

function poolOf(config: PortalConfig, relay: (ref: Relay) => RelaySpec): RelaySpec[] {
  const { urls = [], embedded, registry } = config.relays ?? {};
  const pool: RelaySpec[] = urls.map(relay);
  // The embedded relay runs for services that name no other relay.
  const isWanted = config.relays !== undefined || Object.values(config.services).some(usesPool);
  if (embedded || (pool.length === 0 && registry === undefined && isWanted)) {
    const { port } = embedded ?? {};
    pool.push(
      port === undefined
        ? { kind: 'embedded', port: DEFAULT_EMBEDDED_PORT, orAnyPort: true }
        : { kind: 'embedded', port },
    );
  }
  return pool;
}

/** The relays that a service may name, and its default relays. */
interface Known {
  readonly relays: readonly RelaySpec[];
  readonly relay: (ref: Relay) => RelaySpec;
  readonly chain: (via: string) => RelaySpec;
  /** The identities that `team` stands for. */
  readonly team: readonly string[] | undefined;
  /** Base of relative paths. */
  readonly directory: string;
}

function usesPool(service: Service): boolean {
  return typeof service !== 'object' || (service.relays === undefined && service.via === undefined);
}

const DEFAULT_MAX_ACTIVE = 3;

/** A registry or a number asks for more relays than the file names. */
function candidatesOf(
  config: PortalConfig,
  caFiles: ReadonlyMap<string, string>,
  directory: string,
): CandidatesSpec | undefined {
  const { registry, maxActive } = config.relays ?? {};
  if (registry === undefined && maxActive === undefined) return undefined;
  const isUrl = registry !== undefined && /^https:\/\//i.test(registry);
  return {
    ...(registry !== undefined && {
      registry: isUrl ? new URL(registry).href : resolve(directory, registry),
    }),
    maxActive: maxActive ?? DEFAULT_MAX_ACTIVE,
    caFiles: Object.fromEntries(caFiles),
  };
}

function serviceSpec(
  key: string,
  service: Service,
  known: Known,
  tls: (tls: ServiceOptions['tls'], names: Names) => TlsSpec,
): ServiceSpec {
  const options: ServiceOptions = typeof service === 'object' ? service : { target: service };
  const routes = Object.entries(options.routes ?? {}).map((each) => routeSpec(each, known.directory));
  const first = routes.find(({ prefix }) => prefix === '/') ?? routes[0];
  const mode = modeOf(options);
  const hostname = options.hostname?.toLowerCase().replace(/\.$/, '');
  const relays = relaysOf(options, known);
  return {
    service: key,
    name: options.name ?? key,
    mode,
    target: first?.target ?? targetOf(options),
    routes,
    ...(first === undefined && commandOf(options, known.directory)),
    ...(options.profiles && { profiles: options.profiles.toSorted() }),
    ...(options.dependsOn && { dependsOn: options.dependsOn.toSorted() }),
    ...(options.host !== undefined && { host: options.host }),
    ...holdOf(options),
    alpn: options.alpn ?? 'auto',
    carrier: carrierOf(options),
    tls: kindOf(mode) === 'tls' ? tls(options.tls, { hostname, relays }) : { source: 'local' },
    ...(options.identity !== undefined && { identity: options.identity }),
    hostname,
    port: options.port,
    proxyProtocol: options.proxyProtocol === 'v2',
    targetTls: targetTlsSpec(options.targetTls),
    metadata: options.metadata ?? {},
    expires: options.expires === undefined ? undefined : expiryOf(options.expires),
    access: accessOf(options.access, known.team),
    ...(options.forwarded === false && { forwarded: false as const }),
    ...(options.inspect && { inspect: inspectSpec(options.inspect) }),
    ...(options.health !== undefined && { health: healthOf(options.health) }),
    ...(options.replicas !== undefined && { replicas: options.replicas }),
    ...(options.udp !== undefined && { udp: options.udp }),
    ...(options.retireMs !== undefined && { retireMs: options.retireMs }),
    relays,
  };
}

function accessOf(
  { rateLimit, webhook, identities, ...access }: Access = {},
  team: Known['team'] = [],
): AccessSpec {
  const listed = identities?.flatMap((each) => (each === 'team' ? team : each));
  return {
    ...access,
    ...(listed && { identities: addressesOf(listed) }),
    ...(rateLimit && { rateLimit: rateLimitOf(rateLimit) }),
    ...(webhook && { webhook: webhookOf(webhook) }),
  };
}

function rateLimitOf({ perVisitor, burst }: RateLimit): RateLimitSpec {
  const [count, per] = perVisitor.split('/') as [string, RateLimitSpec['per']];
  return { requests: Number(count), per, burst: burst ?? Number(count) };
}

function webhookOf({ provider, header, algorithm, secret }: Webhook): WebhookSpec {
  if (provider !== undefined) return { provider, secret };
  return { header: header!.toLowerCase(), algorithm: algorithm!, secret };
}

const HEALTH_DEFAULTS = { intervalMs: 10_000, timeoutMs: 2_000 };

function healthOf(health: Health): HealthSpec {
  return { ...HEALTH_DEFAULTS, ...(typeof health === 'string' ? { path: health } : health) };
}

function relaysOf({ via, relays }: ServiceOptions, known: Known): readonly RelaySpec[] {
  return via === undefined ? (relays?.map(known.relay) ?? known.relays) : [known.chain(via)];
}

/** In a chain, everything to the first relay is TLS, because the other relays read nothing. */
function carrierOf({ carrier, via, mode }: ServiceOptions): Carrier {
  if (via !== undefined) return mode === 'udp' ? 'ws' : 'tls';
  return carrier ?? 'raw';
}

function inspectSpec(inspect: Inspect): InspectSpec {
  const history = typeof inspect === 'object' ? inspect.history : undefined;
  const keepFor = typeof history === 'object' ? history.maxAge : undefined;
  return {
    mask: maskOf(inspect),
    ...(history === false && { history }),
    ...(keepFor !== undefined && { history: { maxAgeMs: durationMs(keepFor) } }),
  };
}

/** Normalised and sorted names, so that another spelling or order is not a change. */
function maskOf(inspect: Inspect): string[] {
  const names = typeof inspect === 'object' ? (inspect.mask ?? []) : [];
  return [...new Set(names.map((name) => name.toLowerCase()))].toSorted();
}

function holdOf({ hold }: Pick<RouteOptions, 'hold'>): { hold?: HoldSpec } {
  return hold === undefined ? {} : { hold: { forMs: durationMs(hold) } };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function expiryOf(text: string): Expiry {
  const afterMs = durationMs(text);
  return Number.isNaN(afterMs) ? { at: Date.parse(text) } : { afterMs };
}

/** NaN for an invalid duration. */
export function durationMs(text: string): number {
  const [, count, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? [];
  return Number(count) * (UNIT_MS[unit] ?? NaN);
}

function routeSpec([prefix, route]: [prefix: string, route: Route], directory: string): RouteSpec {
  const options: RouteOptions = typeof route === 'object' ? route : { target: route };
  return {
    prefix,
    target: targetOf(options),
    ...commandOf(options, directory),
    stripPrefix: options.stripPrefix ?? true,
    ...(options.host !== undefined && { host: options.host }),
    ...holdOf(options),
    headers: options.headers ?? {},
    responseHeaders: options.responseHeaders ?? {},
  };
}

/** `check.ts` has ensured either a source or both files. */
function tlsSpec(
  tls: ServiceOptions['tls'],
  names: Names,
  { directory: url = LETS_ENCRYPT, email, ca }: NonNullable<PortalConfig['acme']> = {},
  directory: string,
): TlsSpec {
  if (typeof tls === 'object' && tls.cert !== undefined && tls.key !== undefined)
    return { source: 'files', certFile: resolve(directory, tls.cert), keyFile: resolve(directory, tls.key) };
  const source = typeof tls === 'object' ? tls.source : tls;
  if (source === 'local') return { source };
  const acme = {
    directory: url,
    ...(email !== undefined && { email }),
    ...(ca !== undefined && { caFile: resolve(directory, ca) }),
  };
  return source === 'acme' ? { source, ...acme } : automaticTls(names, acme);
}

function targetTlsSpec(options: ServiceOptions['targetTls']): TargetTls {
  const { ca, serverName, insecureSkipVerify } = options ?? {};
  return {
    ...(ca !== undefined && { caFile: ca }),
    ...(serverName !== undefined && { serverName }),
    ...(insecureSkipVerify !== undefined && { verify: !insecureSkipVerify }),
  };
}

/** The CA of each relay, by URL. One mention is enough, because an agent has one connection per relay. */
function caFilesOf(config: PortalConfig, directory: string): Map<string, string> {
  const services = Object.values(config.services);
  const refs = [
    ...(config.relays?.urls ?? []),
    ...Object.values(config.chains ?? {}).flat(),
    ...services.flatMap((service) => (typeof service === 'object' ? (service.relays ?? []) : [])),
  ];
  const files = new Map<string, string>();
  for (const ref of refs) {
    if (typeof ref === 'object' && ref.ca !== undefined) files.set(urlOf(ref), resolve(directory, ref.ca));
  }
  return files;
}

/** A relay's URL in the normalised form for comparisons. */
function urlOf(ref: Relay): string {
  const url = typeof ref === 'object' ? ref.url : ref;
  return originOf(url) ?? url;
}
