import { randomUUID } from 'node:crypto';
import type { Detour, RelayEndpoint } from '../agent/relay-way.js';
import { RelaySession, type SessionOptions } from '../agent/session.js';
import { relayKey, type UrlRelay } from '../agent/spec.js';
import type { HopStatus } from '../agent/status.js';
import { derivedIdentity } from '../identity/derived.js';

export interface HopsOptions extends Omit<SessionOptions, 'resolve' | 'instance' | 'onState'> {
  /** How to reach a relay that is not gone to through another. */
  readonly endpointOf: (relay: UrlRelay) => Promise<RelayEndpoint>;
}

/**
 * A session with a relay that a chain only passes: it holds no leases, and has an identity and an instance of its own,
 * so that neither tells who passes there. The further ones of its chain it goes through are hops too.
 */
class Hop {
  #relay: UrlRelay;
  /** Chains, and hops before this one, that go through it. */
  users = 0;
  readonly session: RelaySession;
  readonly #rest: Lent | undefined;

  constructor(relay: UrlRelay, rest: Lent | undefined, options: HopsOptions) {
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
        ...(rest && { detour: rest.detour }),
      }),
    });
  }

  /** Takes over what changed about the same relays (their CA files). */
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
    await this.#rest?.giveBack();
  }
}

/** A way through hops, for as long as it is needed. */
export interface Lent {
  readonly detour: Detour;
  /** Of each hop on it, the visitors' side first. */
  statuses(): HopStatus[];
  check(): Promise<void>;
  /** The same relays, and perhaps other CA files. */
  renew(relays: readonly UrlRelay[]): void;
  /** Resolves once nothing of it is left, unless another needs it. */
  giveBack(): Promise<void>;
}

/** Owns the sessions with relays that chains pass: one each, however many chains go that way. */
export class Hops {
  readonly #options: HopsOptions;
  readonly #hops = new Map<string, Hop>();

  constructor(options: HopsOptions) {
    this.#options = options;
  }

  /** The way through `relays`, the agent's side last. */
  borrow(relays: readonly UrlRelay[]): Lent {
    const [first, ...rest] = relays;
    if (!first) throw new RangeError('a way through no relay');
    const key = relayKey({ kind: 'chain', hops: relays });
    let hop = this.#hops.get(key);
    if (hop) hop.renew(relays);
    else {
      hop = new Hop(first, rest.length > 0 ? this.borrow(rest) : undefined, this.#options);
      this.#hops.set(key, hop);
    }
    hop.users++;
    return this.#lend(key, hop);
  }

  #lend(key: string, hop: Hop): Lent {
    let isGivenBack = false;
    return {
      detour: hop.session.detour,
      statuses: () => hop.statuses(),
      check: () => hop.check(),
      renew: (relays) => hop.renew(relays),
      giveBack: async () => {
        if (isGivenBack) return;
        isGivenBack = true;
        hop.users--;
        if (hop.users > 0) return;
        this.#hops.delete(key);
        await hop.close();
      },
    };
  }
}
