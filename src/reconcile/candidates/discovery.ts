import { askForRelays } from '../../agent/directory.js';
import { asPortalError } from '../../lib/errors.js';
import type { UrlRelay } from '../../agent/spec.js';
import type { Logger } from '../../lib/logger.js';
import { endpointOf, type ProxyFor } from '../endpoint.js';

/** What one relay tells of may not crowd out what others tell of. */
const MAX_PER_RELAY = 64;
/** One that was told of is forgotten after so many answers without it: who has just started knows of nobody yet. */
const FORGET_AFTER = 3;
const ASK_MS = 5_000;

export interface DiscoveryOptions {
  readonly proxyFor?: ProxyFor;
  /** A relay is asked again after about this long. */
  readonly everyMs: number;
  readonly onChange: () => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

interface Told {
  readonly relays: readonly TellOf[];
  readonly nextAt: number;
}

interface TellOf {
  readonly relay: UrlRelay;
  /** Answers in a row that left it out. */
  readonly missed: number;
}

/** Relays that connected relays tell of, each signed by its own key (`GET /v1/relays`). */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #told = new Map<string, Told>();
  readonly #asking = new Set<string>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /**
   * What `known` relays tell of, and those that they tell of, and so on; each once. What one told last counts while it
   * is away, too: that it failed says nothing of the others.
   */
  from(known: Iterable<string>): UrlRelay[] {
    const found = new Map<string, UrlRelay>();
    const tellers = new Set(known);
    for (const teller of tellers) {
      for (const { relay } of this.#told.get(teller)?.relays ?? []) {
        if (!found.has(relay.url)) found.set(relay.url, relay);
        tellers.add(relay.url);
      }
    }
    for (const teller of this.#told.keys()) if (!tellers.has(teller)) this.#told.delete(teller);
    return [...found.values()];
  }

  /** Asks those of the connected relays whose turn it is. */
  tick(connected: readonly UrlRelay[], now: number): void {
    for (const relay of connected) {
      if (now < (this.#told.get(relay.url)?.nextAt ?? 0) || this.#asking.has(relay.url)) continue;
      this.#asking.add(relay.url);
      void this.#ask(relay, now).finally(() => this.#asking.delete(relay.url));
    }
  }

  async #ask(relay: UrlRelay, now: number): Promise<void> {
    const { proxyFor, signal, log, everyMs } = this.#options;
    const nextAt = now + everyMs * (0.8 + Math.random() * 0.4);
    const before = this.#told.get(relay.url)?.relays ?? [];
    try {
      const list = await askForRelays(await endpointOf(relay, proxyFor), ASK_MS, signal);
      if (list.skipped.length > 0)
        log.info({ relay: relay.url, skipped: list.skipped }, 'it told of relays that are not good');
      const told = list.relays
        .filter(({ url }) => url !== relay.url)
        .map(({ url, address }): TellOf => ({
          relay: { kind: 'url', url, ...(address !== undefined && { address }) },
          missed: 0,
        }));
      this.#told.set(relay.url, { relays: withMissed(told, before).slice(0, MAX_PER_RELAY), nextAt });
      this.#options.onChange();
    } catch (error) {
      if (!signal.aborted)
        log.info({ relay: relay.url, code: asPortalError(error).code }, 'it told of no relays');
      this.#told.set(relay.url, { relays: before, nextAt });
    }
  }
}

/** What it tells of now, and then what it told of a while ago. */
function withMissed(told: readonly TellOf[], before: readonly TellOf[]): TellOf[] {
  const urls = new Set(told.map(({ relay }) => relay.url));
  const missing = before
    .filter(({ relay }) => !urls.has(relay.url))
    .map(({ relay, missed }) => ({ relay, missed: missed + 1 }));
  return [...told, ...missing.filter(({ missed }) => missed < FORGET_AFTER)];
}
