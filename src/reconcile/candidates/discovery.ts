import { askForRelays } from '../../agent/directory.js';
import { asPortalError } from '../../lib/errors.js';
import type { UrlRelay } from '../../agent/spec.js';
import type { Logger } from '../../lib/logger.js';
import { endpointOf, type ProxyFor } from '../endpoint.js';

/** What one relay tells of may not crowd out what others tell of. */
const MAX_PER_RELAY = 64;
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
  readonly relays: readonly UrlRelay[];
  readonly nextAt: number;
}

/** Relays that connected relays tell of, each signed by its own key (`GET /v1/relays`). */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #told = new Map<string, Told>();
  readonly #asking = new Set<string>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** Each once. */
  get relays(): UrlRelay[] {
    const all = [...this.#told.values()].flatMap(({ relays }) => relays);
    return [...new Map(all.map((relay) => [relay.url, relay])).values()];
  }

  /** Asks those of the connected relays whose turn it is, and forgets what others told. */
  tick(connected: readonly UrlRelay[], now: number): void {
    const urls = new Set(connected.map(({ url }) => url));
    for (const url of this.#told.keys()) {
      // For a while, so that one that comes back at once changes nothing.
      if (!urls.has(url) && now > (this.#told.get(url)?.nextAt ?? 0)) this.#told.delete(url);
    }
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
      const relays = list.relays
        .filter(({ url }) => url !== relay.url)
        .slice(0, MAX_PER_RELAY)
        .map(({ url, address }): UrlRelay => ({
          kind: 'url',
          url,
          ...(address !== undefined && { address }),
        }));
      this.#told.set(relay.url, { relays, nextAt });
      this.#options.onChange();
    } catch (error) {
      if (!signal.aborted)
        log.info({ relay: relay.url, code: asPortalError(error).code }, 'it told of no relays');
      this.#told.set(relay.url, { relays: before, nextAt });
    }
  }
}
