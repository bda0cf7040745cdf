import pLimit from 'p-limit';
import { fetchRelayList, type SignedDescriptor } from '../../agent/session/directory.js';
import { summaryOf } from '../../agent/session/phase.js';
import { isEmbeddedKey, relayKey, type UrlRelay } from '../../agent/spec.js';
import type { ErrorSummary, RelayStatus } from '../../agent/status.js';
import type { Desired } from '../../config/desired.js';
import { asPortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import { endpointOf, type ProxyFor } from '../relays/endpoint.js';
import type { RelayTrust } from '../relays/relays.js';
import type { Candidate } from './candidate.js';
import { probe } from './probe.js';
import { Registry } from './registry.js';
import { MAX_REGISTRY_BYTES } from './sources.js';

/** A relay that a configuration resolves to, as `portal list` shows it. */
export interface SurveyedRelay {
  /** Its origin, or `embedded:PORT`. */
  readonly url: string;
  readonly source: 'urls' | 'embedded' | 'service' | 'chain' | 'registry' | 'discovered';
  /** `unknown`: not queried. A relay of a chain is only reachable through the chain. */
  readonly health: 'healthy' | 'unhealthy' | 'unknown';
  readonly rttMs?: number;
  readonly capabilities?: readonly string[];
  readonly carriers?: readonly string[];
  /** Address of its key. */
  readonly address?: string;
  /** The CA file to trust for it, if a list names one. */
  readonly caFile?: string;
  /** Whether the agent has a session with it, for services or in readiness. */
  readonly inUse: boolean;
  readonly error?: ErrorSummary;
}

export interface Survey {
  readonly relays: readonly SurveyedRelay[];
  readonly registry?: { source: string; relays: number; fetchedAt?: string; error?: ErrorSummary };
}

export interface SurveyOptions {
  readonly proxyFor?: ProxyFor;
  readonly trust?: RelayTrust;
}

const PROBE_MS = 3_000;
const PROBES_AT_A_TIME = 16;

/** The state of a relay as its session reports it. */
type Held = Pick<RelayStatus, 'state' | 'rttMs' | 'address' | 'capabilities' | 'carriers' | 'error'>;

interface Named {
  readonly relay: UrlRelay;
  readonly source: 'urls' | 'service' | 'chain';
  /** Whether it may be queried directly. Later relays of a chain must not learn the agent's address. */
  readonly isDirect: boolean;
}

/** Each relay that the file names, once, in the order of its most direct use. */
export function namedRelays({ relays, services }: Desired): Named[] {
  const specs = [
    ...relays.map((spec) => ({ spec, source: 'urls' as const })),
    ...services.flatMap((service) => service.relays.map((spec) => ({ spec, source: 'service' as const }))),
  ];
  const direct = specs.flatMap(({ spec, source }): Named[] =>
    spec.kind === 'url' ? [{ relay: spec, source, isDirect: true }] : [],
  );
  const passed = specs.flatMap(({ spec }): Named[] =>
    spec.kind === 'chain'
      ? spec.hops.map((relay, index) => ({
          relay,
          source: 'chain' as const,
          isDirect: index === spec.hops.length - 1,
        }))
      : [],
  );
  const named = new Map<string, Named>();
  for (const one of [...direct, ...passed]) {
    const key = relayKey(one.relay);
    if (!named.has(key)) named.set(key, one);
  }
  return [...named.values()];
}

/** The state that a running agent knows. Relays without a session that are not candidates are queried now. */
export async function surveyOfAgent(
  desired: Desired,
  sessions: readonly RelayStatus[],
  candidates: readonly Candidate[],
  isChosen: (key: string) => boolean,
  options: SurveyOptions,
): Promise<SurveyedRelay[]> {
  const held = new Map<string, Held>();
  for (const session of sessions) {
    for (const hop of session.hops ?? []) held.set(hop.relay, hop);
    // The session of a chain ends at its first relay.
    held.set(session.relay.split(',')[0]!, session);
  }
  const limit = pLimit(PROBES_AT_A_TIME);
  const named = namedRelays(desired).map(async (one): Promise<SurveyedRelay> => {
    const { relay, source } = one;
    const url = relayKey(relay);
    const session = held.get(url);
    if (!session) return asked(one, options, limit);
    return ofSession(url, source, session, session.error ? 'unhealthy' : 'unknown');
  });
  const embedded = sessions.filter(({ relay }) => isEmbeddedKey(relay));
  return [
    ...embedded.map((session) => ofSession(session.relay, 'embedded', session, 'unhealthy')),
    ...(await Promise.all(named)),
    ...candidates.map((candidate) => ofCandidate(candidate, isChosen(candidate.relay.url))),
  ];
}

/** @param otherwise its health while it is not connected */
function ofSession(
  url: string,
  source: SurveyedRelay['source'],
  { state, rttMs, address, capabilities, carriers, error }: Held,
  otherwise: SurveyedRelay['health'],
): SurveyedRelay {
  return {
    url,
    source,
    health: state === 'connected' ? 'healthy' : otherwise,
    ...(rttMs !== undefined && { rttMs }),
    ...(capabilities && { capabilities }),
    ...(carriers && { carriers }),
    ...(address !== undefined && { address }),
    inUse: true,
    ...(error && { error }),
  };
}

function ofCandidate(
  { relay, source, healthyAt, downAt, descriptor, rttMs, error }: Candidate,
  inUse: boolean,
): SurveyedRelay {
  const health = downAt === undefined ? 'unknown' : 'unhealthy';
  return {
    url: relay.url,
    source,
    health: healthyAt === undefined ? health : 'healthy',
    ...(rttMs !== undefined && { rttMs: rounded(rttMs) }),
    ...offerOf(descriptor),
    ...(relay.caFile !== undefined && { caFile: relay.caFile }),
    inUse,
    ...(error && { error: summaryOf(error) }),
  };
}

/** The same without an agent: queries everything once. */
export async function surveyWithoutAgent(
  desired: Desired,
  options: SurveyOptions & { readonly registryDir: string; readonly log: Logger },
): Promise<Survey> {
  const limit = pLimit(PROBES_AT_A_TIME);
  const { candidates } = desired;
  const [named, listed] = await Promise.all([
    Promise.all(namedRelays(desired).map((one) => asked(one, options, limit))),
    candidates?.registry === undefined
      ? undefined
      : readRegistry(candidates.registry, candidates.caFiles, options),
  ]);
  const embedded = desired.relays.flatMap((spec): SurveyedRelay[] =>
    spec.kind === 'embedded'
      ? [{ url: relayKey(spec), source: 'embedded', health: 'unknown', inUse: false }]
      : [],
  );
  const known = new Set(named.map(({ url }) => url));
  const announced = candidates ? await discover(desired, named, options) : [];
  const found = [
    ...(listed?.relays ?? []).map((relay) => ({ relay, source: 'registry' as const })),
    ...announced.map((relay) => ({ relay, source: 'discovered' as const })),
  ].filter(({ relay }) => !known.has(relay.url) && known.add(relay.url));
  const rest = found.map(({ relay, source }) => {
    const caFile = relay.caFile ?? candidates?.caFiles[relay.url];
    const spec = { ...relay, ...(caFile !== undefined && { caFile }) };
    return asked({ relay: spec, source, isDirect: true }, options, limit);
  });
  return {
    relays: [...embedded, ...named, ...(await Promise.all(rest))],
    ...(listed && { registry: listed.status }),
  };
}

async function readRegistry(
  source: string,
  caFiles: Readonly<Record<string, string>>,
  { registryDir, log, proxyFor }: SurveyOptions & { readonly registryDir: string; readonly log: Logger },
): Promise<{ relays: readonly UrlRelay[]; status: NonNullable<Survey['registry']> }> {
  const registry = new Registry({
    source,
    cacheDir: registryDir,
    maxBytes: MAX_REGISTRY_BYTES,
    reach: (url) =>
      endpointOf({ kind: 'url', url, ...(caFiles[url] !== undefined && { caFile: caFiles[url] }) }, proxyFor),
    onChange: () => undefined,
    log,
  });
  try {
    await registry.asked;
    const { error, relays } = registry;
    const { skipped: _, ...status } = registry.status();
    return { relays, status: { ...status, ...(error && { error: summaryOf(error) }) } };
  } finally {
    await registry.close();
  }
}

async function discover(
  desired: Desired,
  named: readonly SurveyedRelay[],
  { proxyFor }: SurveyOptions,
): Promise<UrlRelay[]> {
  const healthy = new Set(named.filter(({ health }) => health === 'healthy').map(({ url }) => url));
  const lists = desired.relays.map(async (relay) => {
    if (relay.kind !== 'url' || !healthy.has(relay.url)) return [];
    const list = await fetchRelayList(await endpointOf(relay, proxyFor), PROBE_MS).catch(() => undefined);
    return (list?.relays ?? []).map(({ url, address }): UrlRelay => ({
      kind: 'url',
      url,
      ...(address !== undefined && { address }),
    }));
  });
  return (await Promise.all(lists)).flat();
}

async function asked(
  { relay, source, isDirect }: Omit<Named, 'source'> & { readonly source: SurveyedRelay['source'] },
  options: SurveyOptions,
  limit: ReturnType<typeof pLimit>,
): Promise<SurveyedRelay> {
  const url = relayKey(relay);
  if (!isDirect) return { url, source, health: 'unknown', inUse: false };
  try {
    const { descriptor, rttMs } = await limit(() => probe(relay, { ...options, ms: PROBE_MS }));
    return { url, source, health: 'healthy', rttMs: rounded(rttMs), ...offerOf(descriptor), inUse: false };
  } catch (error) {
    return { url, source, health: 'unhealthy', inUse: false, error: summaryOf(asPortalError(error)) };
  }
}

function offerOf(
  descriptor: SignedDescriptor | undefined,
): Pick<SurveyedRelay, 'address' | 'capabilities' | 'carriers'> {
  if (!descriptor) return {};
  const { address, capabilities, carriers } = descriptor;
  return { address, capabilities, carriers };
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10;
