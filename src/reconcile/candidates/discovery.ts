import { fetchRelayList } from '../../agent/session/directory.js';
import { asPortalError } from '../../lib/errors.js';
import type { UrlRelay } from '../../agent/spec.js';
import type { Logger } from '../../lib/logger.js';
import { endpointOf, type ProxyFor } from '../relays/endpoint.js';

/** Limit per announcing relay, so that one relay cannot crowd out the announcements of others. */
const MAX_PER_RELAY = 64;
/** A relay is forgotten after this many responses without it: a relay that has just started knows no others yet. */
const FORGET_AFTER = 3;
const QUERY_MS = 5_000;

export interface DiscoveryOptions {
  readonly proxyFor?: ProxyFor;
  /** Interval between two queries of a relay. */
  readonly everyMs: number;
  readonly onChange: () => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

interface Announcement {
  readonly relays: readonly AnnouncedRelay[];
  readonly nextAt: number;
}

interface AnnouncedRelay {
  readonly relay: UrlRelay;
  /** Consecutive responses without it. */
  readonly missed: number;
}

/** Relays that connected relays announce, each signed with its own key (`GET /v1/relays`). */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #announced = new Map<string, Announcement>();
  readonly #asking = new Set<string>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /**
   * The relays that `known` relays announce, directly or through others, each once. The last announcement of a relay
   * still counts while it is disconnected: its failure says nothing about the others.
   */
  from(known: Iterable<string>): UrlRelay[] {
    const found = new Map<string, UrlRelay>();
    const announcers = new Set(known);
    for (const announcer of announcers) {
      for (const { relay } of this.#announced.get(announcer)?.relays ?? []) {
        if (!found.has(relay.url)) found.set(relay.url, relay);
        announcers.add(relay.url);
      }
    }
    for (const announcer of this.#announced.keys())
      if (!announcers.has(announcer)) this.#announced.delete(announcer);
    return [...found.values()];
  }

  /** Queries the connected relays that are due. */
  tick(connected: readonly UrlRelay[], now: number): void {
    for (const relay of connected) {
      if (now < (this.#announced.get(relay.url)?.nextAt ?? 0) || this.#asking.has(relay.url)) continue;
      this.#asking.add(relay.url);
      void this.#ask(relay, now).finally(() => this.#asking.delete(relay.url));
    }
  }

  async #ask(relay: UrlRelay, now: number): Promise<void> {
    const { proxyFor, signal, log, everyMs } = this.#options;
    const nextAt = now + everyMs * (0.8 + Math.random() * 0.4);
    const before = this.#announced.get(relay.url)?.relays ?? [];
    try {
      const list = await fetchRelayList(await endpointOf(relay, proxyFor), QUERY_MS, signal);
      if (list.skipped.length > 0)
        log.info({ relay: relay.url, skipped: list.skipped }, 'skipped invalid relays of an announcement');
      const announced = list.relays
        .filter(({ url }) => url !== relay.url)
        .map(({ url, address }): AnnouncedRelay => ({
          relay: { kind: 'url', url, ...(address !== undefined && { address }) },
          missed: 0,
        }));
      this.#announced.set(relay.url, {
        relays: withMissed(announced, before).slice(0, MAX_PER_RELAY),
        nextAt,
      });
      this.#options.onChange();
    } catch (error) {
      if (!signal.aborted)
        log.info({ relay: relay.url, code: asPortalError(error).code }, 'the relay announced no relays');
      this.#announced.set(relay.url, { relays: before, nextAt });
    }
  }
}

/** Current announcements, then recent ones that are missing now. */
function withMissed(
  announced: readonly AnnouncedRelay[],
  before: readonly AnnouncedRelay[],
): AnnouncedRelay[] {
  const urls = new Set(announced.map(({ relay }) => relay.url));
  const missing = before
    .filter(({ relay }) => !urls.has(relay.url))
    .map(({ relay, missed }) => ({ relay, missed: missed + 1 }));
  return [...announced, ...missing.filter(({ missed }) => missed < FORGET_AFTER)];
}
