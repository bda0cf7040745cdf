import type { RelayEndpoint } from '../../agent/session/relay-endpoint.js';
import type { AgentLease } from '../../agent/lease/lease.js';
import { RelaySession, type SessionOptions } from '../../agent/session/session.js';
import { relayKey, type RelaySpec, type UrlRelay } from '../../agent/spec.js';
import type { RelayStatus } from '../../agent/status.js';
import type { PortalError } from '../../lib/errors.js';
import { expectKey } from '../candidates/candidate.js';
import type { EmbeddedRelay, EmbeddedRelays } from './embedded.js';
import { endpointOf, readCa, type ProxyFor } from './endpoint.js';
import { Hops, type HopRoute } from './hops.js';
import type { Notice } from '../notices.js';

/** Which keys of relays are trusted; `config/files/lock.ts` stores them. */
export interface RelayTrust {
  /** Called before connecting to a relay. Throws if the connection is not allowed. */
  admit(url: string): Promise<void>;
  /** Stores the key of `address`, after the relay has proven it and opened a session. Throws if another key is trusted. */
  trust(url: string, address: string): Promise<void>;
  /** Called before anything is signed for a relay. Throws where `trust` would, and stores nothing. */
  check(url: string, address: string): Promise<void>;
}

/** The states of a session with a relay. */
export type SessionState = Parameters<NonNullable<SessionOptions['onState']>>[0];

export interface RelayPoolOptions extends Omit<SessionOptions, 'resolve' | 'onState' | 'onFallback'> {
  readonly onState?: (relay: string, state: SessionState, error?: PortalError) => void;
  /** For remote relays. Default: any key is accepted, and none is stored. */
  readonly trust?: RelayTrust;
  /** The proxy for a remote relay. */
  readonly proxyFor?: ProxyFor;
  readonly embedded: EmbeddedRelays;
  readonly notify: (notice: Notice) => void;
}

/** A relay in use: its session, its leases, and the relay itself if it is embedded. */
class PooledRelay {
  #spec: RelaySpec;
  readonly #options: RelayPoolOptions;
  readonly #leases = new Set<AgentLease>();
  readonly #session: RelaySession;
  /** For a chain: the path to its first relay. */
  readonly #route: HopRoute | undefined;
  #embedded: EmbeddedRelay | undefined;
  #isFallbackNoticed = false;

  constructor(spec: RelaySpec, options: RelayPoolOptions, hops: Hops) {
    this.#spec = spec;
    this.#options = options;
    if (spec.kind === 'chain') this.#route = hops.acquire(spec.hops.slice(1));
    const key = relayKey(spec);
    this.#session = new RelaySession({
      ...options,
      log: options.log.child({ relay: key }),
      resolve: () => this.#endpoint(),
      onState: (state, error) => options.onState?.(key, state, error),
      onFallback: () => this.#noticeFallback(key),
    });
  }

  /** Reported once, because UDP may recover and fail repeatedly. */
  #noticeFallback(relay: string): void {
    if (this.#isFallbackNoticed) return;
    this.#isFallbackNoticed = true;
    const message = `UDP does not get through to ${relay}, so datagrams use a WebSocket`;
    this.#options.notify({ kind: 'carrier_fallback', message, relay, carrier: 'ws' });
  }

  /** Whether any lease uses it, including draining ones. */
  get inUse(): boolean {
    return this.#leases.size > 0;
  }

  /** Adopts a change of the same relay (its CA file) for the next connection. */
  update(spec: RelaySpec): void {
    this.#spec = spec;
    if (spec.kind === 'chain') this.#route?.renew(spec.hops.slice(1));
  }

  add(lease: AgentLease): void {
    this.#leases.add(lease);
    this.#session.add(lease);
  }

  remove(lease: AgentLease): void {
    this.#leases.delete(lease);
    this.#session.remove(lease);
  }

  /** Reports that the data that relays get about this agent may have changed. */
  changed(): void {
    this.#session.changed();
  }

  async check(): Promise<void> {
    await Promise.all([this.#session.check(), this.#route?.check()]);
  }

  isResponding(ms: number): Promise<boolean> {
    return this.#session.isResponding(ms);
  }

  status(): RelayStatus {
    const hops = this.#route?.statuses().map(({ relay, state, since, rttMs, error }) => ({
      relay,
      state,
      since,
      ...(rttMs !== undefined && { rttMs }),
      ...(error && { error }),
    }));
    return { relay: relayKey(this.#spec), ...this.#session.status(), ...(hops && { hops }) };
  }

  async close(): Promise<void> {
    if (this.#spec.kind === 'embedded') this.#options.embedded.forget(this.#spec);
    await this.#session.close();
    await this.#route?.release();
    await this.#embedded?.close();
  }

  async #endpoint(): Promise<RelayEndpoint> {
    if (this.#spec.kind === 'url') return trustedEndpointOf(this.#spec, this.#options);
    if (this.#spec.kind === 'chain')
      return { ...(await trustedEndpointOf(this.#spec.hops[0]!, this.#options)), via: this.#route!.tunnel };
    this.#embedded ??= await this.#options.embedded.take(this.#spec);
    const { url, address, caFile } = this.#embedded;
    return { url, address, ca: await readCa(caFile) };
  }
}

/** How to reach a remote relay directly, and the key to expect. */
async function trustedEndpointOf(
  relay: UrlRelay,
  { trust, proxyFor }: Pick<RelayPoolOptions, 'trust' | 'proxyFor'>,
): Promise<RelayEndpoint> {
  await trust?.admit(relay.url);
  return {
    ...(await endpointOf(relay, proxyFor)),
    trust: async (address) => {
      expectKey(relay, address);
      await trust?.check(relay.url, address);
    },
    remember: (address) => trust?.trust(relay.url, address),
  };
}

/** Owns the relays in use. Each starts when it is first needed, and closes when it is no longer needed. */
export class RelayPool {
  readonly #options: RelayPoolOptions;
  readonly #relays = new Map<string, PooledRelay>();
  /** Keys of relays that are not leaving. */
  #wanted = new Set<string>();
  readonly #hops: Hops;

  constructor(options: RelayPoolOptions) {
    this.#options = options;
    this.#hops = new Hops({ ...options, endpointOf: (relay) => trustedEndpointOf(relay, options) });
  }

  /** The relay for `spec`, started if necessary. */
  ensure(spec: RelaySpec): PooledRelay {
    const key = relayKey(spec);
    this.#wanted.add(key);
    let relay = this.#relays.get(key);
    if (relay) relay.update(spec);
    else {
      relay = new PooledRelay(spec, this.#options, this.#hops);
      this.#relays.set(key, relay);
    }
    return relay;
  }

  /** Closes every relay that is neither in `wanted` nor in use. */
  async release(wanted: readonly RelaySpec[]): Promise<void> {
    this.#wanted = new Set(wanted.map(relayKey));
    const leaving = [...this.#relays].filter(([key, relay]) => !this.#wanted.has(key) && !relay.inUse);
    for (const [key] of leaving) {
      this.#relays.delete(key);
      // A relay that is closed on purpose reports no state itself.
      this.#options.onState?.(key, 'lost');
    }
    await Promise.all(leaving.map(([, relay]) => relay.close()));
  }

  /** The data that relays get about this agent may have changed: for the relay of `key`, or for all. */
  changed(key?: string): void {
    if (key !== undefined) this.#relays.get(key)?.changed();
    else for (const relay of this.#relays.values()) relay.changed();
  }

  /** Whether each of these relays responds within `ms`. False without a session. */
  async responding(keys: readonly string[], ms: number): Promise<Map<string, boolean>> {
    const asked = keys.map(
      async (key) => [key, (await this.#relays.get(key)?.isResponding(ms)) ?? false] as const,
    );
    return new Map(await Promise.all(asked));
  }

  async check(): Promise<void> {
    await Promise.all([...this.#relays.values()].map((relay) => relay.check()));
  }

  status(): RelayStatus[] {
    return [...this.#relays].map(([key, relay]) => ({
      ...relay.status(),
      ...(!this.#wanted.has(key) && { leaving: true as const }),
    }));
  }
}
