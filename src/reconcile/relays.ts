import { readFile } from 'node:fs/promises';
import { httpProxy } from '../agent/http-proxy.js';
import type { RelayEndpoint } from '../agent/relay-way.js';
import type { AgentLease } from '../agent/lease.js';
import { RelaySession, type SessionOptions } from '../agent/session.js';
import { relayKey, type RelaySpec, type UrlRelay } from '../agent/spec.js';
import type { RelayStatus } from '../agent/status.js';
import { asPortalError, PortalError } from '../lib/errors.js';
import { Hops, type Lent } from './hops.js';

export type EmbeddedSpec = Extract<RelaySpec, { kind: 'embedded' }>;

/** A relay running in this process; started by the CLI, because agent and relay never import each other. */
export interface EmbeddedRelay {
  readonly url: string;
  /** Path of the CA file that its certificate chains to. */
  readonly caFile: string;
  close(): Promise<void>;
}

/** Which key a relay is trusted by: what `config/lock.ts` keeps. */
export interface RelayTrust {
  /** Before a relay is connected to. Throws where it is not to be. */
  admit(url: string): Promise<void>;
  /** Once it has proven the key of `address`. Throws where that is not the one to trust. */
  trust(url: string, address: string): Promise<void>;
}

export interface RelayPoolOptions extends Omit<SessionOptions, 'resolve'> {
  /** Of relays elsewhere. Left out, any key is taken: there is nowhere to remember one. */
  readonly trust?: RelayTrust;
  /** The HTTP proxy that leads to a relay elsewhere. */
  readonly proxyFor?: (url: string) => string | undefined;
  readonly startEmbedded: (spec: EmbeddedSpec) => Promise<EmbeddedRelay>;
}

/** One relay in use: its session, the leases that want it, and the relay itself where it is embedded. */
class PooledRelay {
  #spec: RelaySpec;
  readonly #options: RelayPoolOptions;
  readonly #leases = new Set<AgentLease>();
  readonly #session: RelaySession;
  /** Of a chain: the way to its first relay. */
  readonly #way: Lent | undefined;
  #embedded: EmbeddedRelay | undefined;

  constructor(spec: RelaySpec, options: RelayPoolOptions, hops: Hops) {
    this.#spec = spec;
    this.#options = options;
    if (spec.kind === 'chain') this.#way = hops.borrow(spec.hops.slice(1));
    const log = options.log.child({ relay: relayKey(spec) });
    this.#session = new RelaySession({ ...options, log, resolve: () => this.#endpoint() });
  }

  /** Whether a lease wants it, draining ones included. */
  get inUse(): boolean {
    return this.#leases.size > 0;
  }

  /** Takes over what changed about the same relay (its CA file), for the next time it is connected to. */
  update(spec: RelaySpec): void {
    this.#spec = spec;
  }

  add(lease: AgentLease): void {
    this.#leases.add(lease);
    this.#session.add(lease);
  }

  remove(lease: AgentLease): void {
    this.#leases.delete(lease);
    this.#session.remove(lease);
  }

  async check(): Promise<void> {
    await Promise.all([this.#session.check(), this.#way?.check()]);
  }

  status(): RelayStatus {
    const hops = this.#way?.statuses().map(({ relay, state, since, rttMs, error }) => ({
      relay,
      state,
      since,
      ...(rttMs !== undefined && { rttMs }),
      ...(error && { error }),
    }));
    return { relay: relayKey(this.#spec), ...this.#session.status(), ...(hops && { hops }) };
  }

  async close(): Promise<void> {
    await this.#session.close();
    await this.#way?.giveBack();
    await this.#embedded?.close();
  }

  async #endpoint(): Promise<RelayEndpoint> {
    if (this.#spec.kind === 'url') return endpointOf(this.#spec, this.#options);
    if (this.#spec.kind === 'chain')
      return { ...(await endpointOf(this.#spec.hops[0]!, this.#options)), detour: this.#way!.detour };
    this.#embedded ??= await this.#options.startEmbedded(this.#spec);
    return { url: this.#embedded.url, ca: await readCa(this.#embedded.caFile) };
  }
}

/** How to reach a relay elsewhere, if no other is between. */
async function endpointOf(
  { url, caFile }: UrlRelay,
  { trust, proxyFor }: Pick<RelayPoolOptions, 'trust' | 'proxyFor'>,
): Promise<RelayEndpoint> {
  await trust?.admit(url);
  const proxy = proxyFor?.(url);
  return {
    url,
    ...(caFile !== undefined && { ca: await readCa(caFile) }),
    ...(proxy !== undefined && { detour: httpProxy(proxy) }),
    ...(trust && { trust: (address) => trust.trust(url, address) }),
  };
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new PortalError(
      'relay_untrusted',
      `the relay's CA file cannot be read: ${asPortalError(error).message}`,
      {
        cause: error,
        hint: 'Check the path after `ca:`; it is relative to the file that names it.',
      },
    );
  }
}

/** Owns the relays in use: each is started when first wanted, and closed once nothing wants it. */
export class RelayPool {
  readonly #options: RelayPoolOptions;
  readonly #relays = new Map<string, PooledRelay>();
  readonly #hops: Hops;

  constructor(options: RelayPoolOptions) {
    this.#options = options;
    this.#hops = new Hops({ ...options, endpointOf: (relay) => endpointOf(relay, options) });
  }

  /** The relay for `spec`, started if need be. */
  ensure(spec: RelaySpec): PooledRelay {
    const key = relayKey(spec);
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
    const keep = new Set(wanted.map(relayKey));
    const leaving = [...this.#relays].filter(([key, relay]) => !keep.has(key) && !relay.inUse);
    for (const [key] of leaving) this.#relays.delete(key);
    await Promise.all(leaving.map(([, relay]) => relay.close()));
  }

  async check(): Promise<void> {
    await Promise.all([...this.#relays.values()].map((relay) => relay.check()));
  }

  status(): RelayStatus[] {
    return [...this.#relays.values()].map((relay) => relay.status());
  }
}
