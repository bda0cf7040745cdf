import { setMaxListeners } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { missingFor } from '../../agent/capabilities.js';
import { relayKey } from '../../agent/spec.js';
import type { CandidatesSpec, Desired } from '../../config/desired.js';
import { PortalError } from '../../lib/errors.js';
import type { Logger } from '../../lib/logger.js';
import type { ProxyFor } from '../relays/endpoint.js';
import type { ActiveLease } from '../plan.js';
import type { RelayTrust, SessionState } from '../relays/relays.js';
import { healthOf, newCandidate, markDown, markHealthy, type Candidate } from './candidate.js';
import { choose, NOTHING_CHOSEN, type Choice } from './choose.js';
import { withCurrentRelays, withChosen } from './extend.js';
import { FirstChoice } from './first-choice.js';
import { noRelayError } from './no-relay.js';
import { Prober } from './prober.js';
import type { Registry } from './registry.js';
import { Sources } from './sources.js';
import { SessionWatch } from './watch.js';

export interface CandidatePoolOptions {
  /** Where copies of registries are stored across restarts. */
  readonly cacheDir?: string;
  readonly proxyFor?: ProxyFor;
  readonly trust?: RelayTrust;
  /** The relays among these that respond on their session within `ms`. */
  readonly responding: (keys: readonly string[], ms: number) => Promise<ReadonlyMap<string, boolean>>;
  /** The choice has changed. */
  readonly onChoice: () => void;
  /** The first choice has been made, possibly of no relay. */
  readonly onSettled: () => void;
  /** The reason why services have no relay may have changed. */
  readonly onNews: () => void;
  /** Reports a warning to the user. */
  readonly warn: (message: string) => void;
  readonly log: Logger;
  readonly paces?: Partial<Paces>;
}

type Paces = typeof PACES;

const PACES = {
  tickMs: 750,
  /** Interval between two probes of a candidate. It grows with the number of candidates. */
  probeMs: 10_000,
  probePerCandidateMs: 200,
  probeTimeoutMs: 3_000,
  /** Timeout of the check on each session in use at each tick. The second attempt gets half of it. */
  responseMs: 800,
  /** A lost session must recover within this time, or the relay counts as down. */
  reconnectMs: 1_000,
  /** A chosen relay must connect within this time. */
  connectMs: 2_500,
  /** How long a relay in use that is no longer in any list waits for a replacement. */
  unlistedMs: 10_000,
  /** Timeout of the first choice, counted from when the candidates are known. */
  firstMs: 3_000,
  discoverMs: 60_000,
  registry: {} as NonNullable<ConstructorParameters<typeof Registry>[0]['paces']>,
};

const MAX_CANDIDATES = 256;

/** Owns the candidates of a configuration: discovers and watches them, and keeps the best few chosen. */
export class CandidatePool {
  readonly #options: CandidatePoolOptions;
  readonly #paces: Paces;
  readonly #stop = new AbortController();
  readonly #prober: Prober;
  readonly #watch: SessionWatch;
  readonly #sources: Sources;
  readonly #firstChoice: FirstChoice;
  #spec: CandidatesSpec | undefined;
  #desired: Desired | undefined;
  #candidates = new Map<string, Candidate>();
  #choice: Choice = NOTHING_CHOSEN;
  /** Relays of the registry that are part of a chain, and therefore not candidates. */
  #inChains = 0;
  #tick: NodeJS.Timeout | undefined;

  constructor(options: CandidatePoolOptions) {
    this.#options = options;
    this.#paces = { ...PACES, ...options.paces };
    // Every pending operation listens to this signal.
    setMaxListeners(0, this.#stop.signal);
    this.#firstChoice = new FirstChoice(this.#paces.firstMs, this.#stop.signal);
    this.#sources = new Sources({
      ...options,
      onChange: () => this.#gather(),
      signal: this.#stop.signal,
      paces: this.#paces,
    });
    const common = {
      paces: this.#paces,
      isChosen: (key: string) => this.isChosen(key),
      note: (key: string, error?: PortalError, at?: number) => this.#note(key, error, at),
      onNews: () => this.#decide(),
    };
    this.#prober = new Prober({
      ...common,
      ...(options.proxyFor && { proxyFor: options.proxyFor }),
      ...(options.trust && { trust: options.trust }),
      candidates: () => this.#candidates,
      signal: this.#stop.signal,
    });
    this.#watch = new SessionWatch({
      ...common,
      responding: options.responding,
      anotherResponds: () => this.#prober.anotherResponds(),
      slowestMs: () =>
        Math.max(0, ...this.#choice.active.map((key) => this.#candidates.get(key)?.rttMs ?? 0)),
    });
  }

  /** Whether the first choice has been made, or there is nothing to choose. */
  get isSettled(): boolean {
    return !this.#spec || this.#firstChoice.isMade;
  }

  /** Resolves once the first choice has been made, after at most `ms`. */
  async settled(ms: number): Promise<void> {
    if (!this.isSettled) await this.#firstChoice.made(ms);
  }

  /** Adopts the candidates and services of `desired`. */
  follow(desired: Desired): void {
    if (this.#stop.signal.aborted) return;
    this.#desired = desired;
    const { candidates: spec } = desired;
    if (isDeepStrictEqual(spec, this.#spec)) return this.#gather();
    const isOther = this.#sources.follow(spec) || !this.#spec;
    this.#spec = spec;
    if (!spec) return this.#forget();
    if (isOther) this.#firstChoice.await(this.#sources.loaded);
    this.#tick ??= setInterval(() => this.#onTick(), this.#paces.tickMs).unref();
    this.#gather();
  }

  /**
   * Adds the chosen relays to every service of `desired` that uses the pool. Before the first choice, services keep
   * their relays.
   */
  extend(desired: Desired, placed: readonly ActiveLease[] = []): Desired {
    if (!desired.candidates) return desired;
    if (!this.isSettled) return withCurrentRelays(desired, placed);
    const chosen = this.#choice.active.flatMap((key) => this.#candidates.get(key)?.relay ?? []);
    return withChosen(desired, chosen);
  }

  /** Why a service on the pool has no relay now. */
  noRelayError(): PortalError {
    return noRelayError({
      registry: this.#sources.registry(),
      isSettled: this.isSettled,
      hasChosen: this.#choice.active.length > 0,
      inChains: this.#inChains,
    });
  }

  /** Whether a relay is in use because the pool chose it. */
  isChosen(key: string): boolean {
    return this.#choice.active.includes(key);
  }

  /** All candidates with their known state. */
  get candidates(): readonly Candidate[] {
    return [...this.#candidates.values()];
  }

  registryStatus(): (NonNullable<ReturnType<Sources['registry']>> & { inChains?: number }) | undefined {
    const registry = this.#sources.registry();
    return registry && { ...registry, ...(this.#inChains > 0 && { inChains: this.#inChains }) };
  }

  /** Records a new state of the session with a relay. */
  session(key: string, state: SessionState, error?: PortalError): void {
    this.#watch.session(key, state, error);
  }

  async close(): Promise<void> {
    this.#stop.abort(new PortalError('aborted', 'the pool was closed'));
    this.#watch.close();
    this.#forget();
    await this.#sources.close();
  }

  #forget(): void {
    clearInterval(this.#tick);
    this.#tick = undefined;
    for (const key of this.#choice.active) this.#watch.forget(key);
    this.#candidates = new Map();
    this.#choice = NOTHING_CHOSEN;
    this.#firstChoice.reset();
  }

  /** Collects the current candidates. Known ones keep their state. */
  #gather(): void {
    if (!this.#spec || !this.#desired) return;
    const named = this.#namedElsewhere(this.#desired);
    const chained = chainHops(this.#desired);
    const left = new Set<string>();
    const found = new Map<string, Candidate>();
    for (const { relay, source } of this.#sources.relays(this.#desired.relays.map(relayKey))) {
      const { url } = relay;
      if (source === 'registry' && chained.has(url)) left.add(url);
      if (named.has(url) || found.has(url) || found.size >= MAX_CANDIDATES) continue;
      const known = this.#candidates.get(url);
      const isSame = known && isDeepStrictEqual(known.relay, relay);
      const candidate = isSame ? { ...known, source } : newCandidate(relay, source);
      delete candidate.unlistedAt;
      if (this.isChosen(url) && this.#watch.isConnected(url)) markHealthy(candidate, performance.now());
      found.set(url, candidate);
    }
    for (const [key, known] of this.#candidates) {
      if (!found.has(key) && !named.has(key) && this.isChosen(key))
        found.set(key, { ...known, unlistedAt: known.unlistedAt ?? performance.now() });
    }
    this.#candidates = found;
    this.#inChains = left.size;
    this.#prober.tick(performance.now());
    this.#decide();
    this.#options.onNews();
  }

  /**
   * Relays that are connected anyway, and relays of chains. A chain's relay must not also see the agent directly, with its
   * own address and identity.
   */
  #namedElsewhere({ relays, services }: Desired): Set<string> {
    return new Set([...relays.map(relayKey), ...chainHops({ services })]);
  }

  #onTick(): void {
    const now = performance.now();
    const relays = this.extend(this.#desired!).relays.filter((relay) => relay.kind === 'url');
    const isUnlisted = (url: string): boolean => this.#candidates.get(url)?.unlistedAt !== undefined;
    this.#sources.ask(
      relays.filter(({ url }) => this.#watch.isConnected(url) && !isUnlisted(url)),
      now,
    );
    for (const [key, { unlistedAt }] of this.#candidates) {
      if (unlistedAt !== undefined && (!this.isChosen(key) || now - unlistedAt > this.#paces.unlistedMs))
        this.#candidates.delete(key);
    }
    this.#prober.tick(performance.now());
    void this.#watch.ask();
    this.#decide();
  }

  #note(key: string, error: PortalError | undefined, at = performance.now()): void {
    const candidate = this.#candidates.get(key);
    if (!candidate) return;
    if (error) markDown(candidate, error, at);
    else markHealthy(candidate, at);
  }

  #decide(): void {
    const [spec, desired] = [this.#spec, this.#desired];
    if (!spec || !desired || this.#stop.signal.aborted) return;
    const now = performance.now();
    if (!this.#firstChoice.isMade && !this.#firstChoice.isDue(this.candidates, spec.maxActive, now)) return;
    const services = desired.services.filter(({ onPool }) => onPool);
    // A candidate without a probe result cannot be chosen.
    const isKnown = ({ relay, healthyAt, downAt }: Candidate): boolean =>
      healthyAt !== undefined || downAt !== undefined || this.isChosen(relay.url);
    const contenders = this.candidates.filter(isKnown).map((candidate) => {
      const { relay, source, descriptor, rttMs, downAt, unlistedAt } = candidate;
      const isUnlisted = unlistedAt !== undefined;
      return {
        key: relay.url,
        isRegistered: source === 'registry',
        covers: services
          .filter((service) => !descriptor || missingFor(service, descriptor).length === 0)
          .map(({ service, mode }) => `${service} ${mode}`),
        rttMs,
        health: isUnlisted ? 'down' : healthOf(candidate, now),
        downForMs: isUnlisted ? Infinity : now - (downAt ?? now),
      } as const;
    });
    const before = new Set(this.#choice.active);
    this.#choice = choose(contenders, this.#choice, spec.maxActive, now, desired.relays.length === 0);
    if (this.#firstChoice.make()) this.#options.onSettled();
    const { active } = this.#choice;
    const added = active.filter((key) => !before.has(key));
    if (added.length === 0 && active.length === before.size) return;
    for (const key of before) if (!active.includes(key)) this.#watch.forget(key);
    for (const key of added) {
      const late = new PortalError('timeout', `${key} did not connect within ${this.#paces.connectMs} ms`);
      this.#watch.expect(key, this.#paces.connectMs, late);
    }
    this.#options.log.info({ active }, 'chose relays for the pool');
    this.#options.onChoice();
  }
}

/** Relays that are part of a chain. */
function chainHops({ services }: Pick<Desired, 'services'>): Set<string> {
  const chains = services.flatMap((service) => service.relays).filter((relay) => relay.kind === 'chain');
  return new Set(chains.flatMap(({ hops }) => hops.map(relayKey)));
}
