import { PIN_PATH } from '../access/pin-page.js';
import type { Exchange } from '../modes/http/exchange.js';
import type { InspectSpec } from '../spec.js';
import { inspected } from './exchange.js';
import type { Recording } from './recording.js';
import { ReplayExchange } from './replay.js';
import { RequestStore } from './store.js';
import { detailsOf } from './view.js';
import type { ReplayEdits, RequestDetails } from './wire.js';

/** Answers an exchange as if a visitor had asked. */
export type Serve = (exchange: Exchange) => void;

/** Where the requests of one service are recorded, from one of its handlers. */
export interface Recorder {
  /** The exchange to go on with: one that is recorded, or the same when there are too many to record. */
  record(exchange: Exchange): Exchange;
  close(): void;
}

/** All recorders of an agent, and what they recorded. */
export class Recorders {
  readonly store: RequestStore;
  readonly #handlers = new Map<string, Set<Serve>>();
  /** Names of fields to mask besides the usual ones, in lower case; as they were asked for last. */
  readonly #masks = new Map<string, ReadonlySet<string>>();

  constructor(store = new RequestStore()) {
    this.store = store;
  }

  /** @param serve the service's handler, for what is replayed */
  open(service: string, { mask }: InspectSpec, serve: Serve): Recorder {
    this.#masks.set(service, new Set(mask));
    const handlers = this.#handlers.get(service) ?? new Set();
    this.#handlers.set(service, handlers.add(serve));
    return {
      record: (exchange) => this.#record(service, exchange),
      close: () => {
        handlers.delete(serve);
        // Meanwhile there may be others, of a lease that came after.
        if (handlers.size === 0 && this.#handlers.get(service) === handlers) this.#handlers.delete(service);
      },
    };
  }

  /** Services with a handler that records. */
  services(): string[] {
    return [...this.#handlers.keys()];
  }

  /** A recording as the page may see it. */
  details(recording: Recording, reveal: boolean): RequestDetails {
    const [noReplay, mask] = [this.noReplay(recording), this.#masks.get(recording.service)];
    return detailsOf(recording, { reveal, noReplay, ...(mask && { mask }) });
  }

  /** Why a request cannot be replayed; undefined where it can. */
  noReplay({ requestBody, upgrade, service }: Recording, edits: ReplayEdits = {}): string | undefined {
    if (upgrade !== undefined) return 'it asked for another protocol';
    if (requestBody.cut !== undefined && edits.body === undefined) return 'its body is not kept whole';
    if (!this.#handlers.has(service)) return `${service} is not inspected any more`;
    return undefined;
  }

  /** Asks the service once more. Returns the id of the new request. */
  replay(recording: Recording, edits: ReplayEdits): number {
    const exchange = new ReplayExchange(recording, edits, this.store.bounds.replayMs);
    const [serve] = this.#handlers.get(recording.service) ?? [];
    serve?.(exchange);
    return exchange.recordedAs;
  }

  #record(service: string, exchange: Exchange): Exchange {
    const replayed = exchange instanceof ReplayExchange ? exchange : undefined;
    if (!replayed && !this.store.admits()) return exchange;
    // What people type there is the PIN.
    const withholdBody = exchange.target.split('?', 1)[0] === PIN_PATH;
    const recorded = inspected(exchange, this.store, {
      service,
      withholdBody,
      replayOf: replayed?.original,
    });
    if (replayed) replayed.recordedAs = this.store.lastId;
    return recorded;
  }
}
