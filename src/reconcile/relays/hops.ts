import { randomUUID } from 'node:crypto';
import type { Tunnel, RelayEndpoint } from '../../agent/session/relay-endpoint.js';
import { RelaySession, type SessionOptions } from '../../agent/session/session.js';
import { relayKey, type UrlRelay } from '../../agent/spec.js';
import type { HopStatus } from '../../agent/status.js';
import { derivedIdentity } from '../../identity/derived.js';

export interface HopsOptions extends Omit<SessionOptions, 'resolve' | 'instance' | 'onState'> {
  /** How to reach a relay directly. */
  readonly endpointOf: (relay: UrlRelay) => Promise<RelayEndpoint>;
}

/**
 * A session with an intermediate relay of a chain. It has no leases, and its own identity and instance, so that neither
 * reveals the agent. Later relays of the chain that it passes through are hops too.
 */
class Hop {
  #relay: UrlRelay;
  /** Chains and earlier hops that use it. */
  users = 0;
  readonly session: RelaySession;
  readonly #rest: HopRoute | undefined;

  constructor(relay: UrlRelay, rest: HopRoute | undefined, options: HopsOptions) {
    this.#relay = relay;
    this.#rest = rest;
    const { identity, log, version, endpointOf } = options;
    this.session = new RelaySession({
      identity: derivedIdentity(identity, `hop ${relayKey(relay)}`),
      instance: randomUUID(),
      version,
      log: log.child({ hop: relayKey(relay) }),
      resolve: async () => ({
        ...(await endpointOf(this.#relay)),
        ...(rest && { via: rest.tunnel }),
      }),
    });
  }

  /** Adopts changes of the same relays (their CA files). */
  renew([relay, ...rest]: readonly UrlRelay[]): void {
    if (relay) this.#relay = relay;
    this.#rest?.renew(rest);
  }

  statuses(): HopStatus[] {
    return [{ relay: relayKey(this.#relay), ...this.session.status() }, ...(this.#rest?.statuses() ?? [])];
  }

  async check(): Promise<void> {
    await Promise.all([this.session.check(), this.#rest?.check()]);
  }

  async close(): Promise<void> {
    await this.session.close();
    await this.#rest?.release();
  }
}

/** A path through hops, until it is released. */
export interface HopRoute {
  readonly tunnel: Tunnel;
  /** The state of each hop on it, the visitors' side first. */
  statuses(): HopStatus[];
  check(): Promise<void>;
  /** Adopts changed CA files of the same relays. */
  renew(relays: readonly UrlRelay[]): void;
  /** Resolves once its sessions are closed, except those with other users. */
  release(): Promise<void>;
}

/** Owns the sessions with intermediate relays of chains: one per path, shared by all chains on it. */
export class Hops {
  readonly #options: HopsOptions;
  readonly #hops = new Map<string, Hop>();

  constructor(options: HopsOptions) {
    this.#options = options;
  }

  /** The route through `relays`, with the agent's side last. */
  acquire(relays: readonly UrlRelay[]): HopRoute {
    const [first, ...rest] = relays;
    if (!first) throw new RangeError('a route needs at least one relay');
    const key = relayKey({ kind: 'chain', hops: relays });
    let hop = this.#hops.get(key);
    if (hop) hop.renew(relays);
    else {
      hop = new Hop(first, rest.length > 0 ? this.acquire(rest) : undefined, this.#options);
      this.#hops.set(key, hop);
    }
    hop.users++;
    return this.#routeOf(key, hop);
  }

  #routeOf(key: string, hop: Hop): HopRoute {
    let isReleased = false;
    return {
      tunnel: hop.session.tunnel,
      statuses: () => hop.statuses(),
      check: () => hop.check(),
      renew: (relays) => hop.renew(relays),
      release: async () => {
        if (isReleased) return;
        isReleased = true;
        hop.users--;
        if (hop.users > 0) return;
        this.#hops.delete(key);
        await hop.close();
      },
    };
  }
}
