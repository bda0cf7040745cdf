import { PortalError } from '../../lib/errors.js';
import { deferred, within } from '../../lib/wait.js';
import { GATE_PATHS } from '../access/kinds.js';
import type { Exchange, Headers } from '../modes/http/exchange/exchange.js';
import { OwnExchange } from '../modes/http/exchange/own-exchange.js';
import { pathOf } from '../modes/http/routing/paths.js';
import type { InspectSpec } from '../spec.js';
import { inspected } from './exchange.js';
import type { RequestHistory } from './history/history.js';
import { firstOfRun, idText, runOf } from './history/ids.js';
import type { Recording } from './recording.js';
import { refusedRecording, type Refused } from './refused.js';
import { ReplayExchange } from './replay.js';
import { RequestStore } from './store.js';
import { detailsOf, rowOf } from './view.js';
import type { ReplayEdits, RequestDetails, RequestRow } from './wire.js';

const NO_NAMES: ReadonlySet<string> = new Set();

const isFinished = ({ outcome }: Recording): boolean => outcome === 'done' || outcome === 'broken';

/** Responds to an exchange as for a visitor. */
export type Serve = (exchange: Exchange) => void;

/** Records the requests of one service, for one of its handlers. */
export interface Recorder {
  /**
   * Returns the exchange to continue with: a recorded one, or the same one if there are too many to record.
   *
   * @param headers the request's header fields as they may be kept
   */
  record(exchange: Exchange, headers: Headers): Exchange;
  close(): void;
}

/** All recorders of an agent, and their recordings. */
export class Recorders {
  readonly store: RequestStore;
  readonly #handlers = new Map<string, Set<Serve>>();
  /** Additional field names to mask, in lower case, from the latest configuration. */
  readonly #masks = new Map<string, ReadonlySet<string>>();

  /** Services without a history beyond this run. */
  readonly #withoutHistory = new Set<string>();
  #history: RequestHistory | undefined;

  constructor(store = new RequestStore()) {
    this.store = store;
    store.listen({ changed: (id) => this.#noteEnd(id) });
  }

  /** The history of finished requests. Without one, requests are in memory only. */
  get history(): RequestHistory | undefined {
    return this.#history;
  }

  set history(history: RequestHistory | undefined) {
    this.#history = history;
    if (history) this.store.continueAfter(firstOfRun(history.run));
  }

  /** @param serve the service's handler, for replays */
  open(service: string, { mask, history }: InspectSpec, serve: Serve): Recorder {
    this.#masks.set(service, new Set(mask));
    if (history === false) this.#withoutHistory.add(service);
    else this.#withoutHistory.delete(service);
    const handlers = this.#handlers.get(service) ?? new Set();
    this.#handlers.set(service, handlers.add(serve));
    return {
      record: (exchange, headers) => this.#record(service, exchange, headers),
      close: () => {
        handlers.delete(serve);
        // A later lease may have added other handlers meanwhile.
        if (handlers.size === 0 && this.#handlers.get(service) === handlers) this.#handlers.delete(service);
      },
    };
  }

  /** Records a request that a gate rejected before the service's handler saw it. */
  refused(service: string, refused: Refused): void {
    if (!this.#handlers.has(service) || !this.store.admits()) return;
    this.store.add(refusedRecording(this.store.nextId(), service, refused));
  }

  /** Services with a handler that records. */
  services(): string[] {
    return [...this.#handlers.keys()];
  }

  /** Finds a request in memory or in the history. */
  async find(id: number): Promise<Recording | undefined> {
    return this.store.get(id) ?? (await this.#history?.find(id));
  }

  /** A recording for the page. Masks what is secret now and what was secret when it was recorded. */
  details(recording: Recording, reveal: boolean): RequestDetails {
    const mask = new Set([...this.#maskOf(recording.service), ...(recording.past?.mask ?? [])]);
    return detailsOf(recording, { reveal, noReplay: this.noReplay(recording), mask });
  }

  /** Removes all recordings, including those of earlier runs. */
  async clear(): Promise<void> {
    this.store.clear();
    await this.#history?.clear();
  }

  /** Stores finished requests now, for a reader of the history. Returns whether a service is recorded. */
  async flush(): Promise<boolean> {
    await this.#history?.flush();
    return this.#handlers.size > 0;
  }

  /** Removes everything of this identity. Returns the history file that exists afterwards. */
  wipe(): Promise<string | undefined> {
    this.store.clear();
    return this.#history?.wipe() ?? Promise.resolve(undefined);
  }

  /** Stores requests in progress as they are, because recording ends here. */
  async endHistory(): Promise<void> {
    if (!this.#history) return;
    for (const recording of this.store.all())
      if (!isFinished(recording)) this.#keep({ ...recording, outcome: 'broken' });
    const history = this.#history;
    this.#history = undefined;
    await history.close();
  }

  /** Why a request cannot be replayed. Undefined if it can. */
  noReplay(
    { requestBody, requestMs, upgrade, service, past, portal }: Recording,
    edits: ReplayEdits = {},
  ): string | undefined {
    // Another portal.yaml may have a service of the same name.
    if (past && past.source !== this.#history?.source) return 'it belongs to another portal.yaml';
    if (portal?.gate === 'ip') return 'Portal rejected the visitor';
    if (upgrade !== undefined) return 'it switched protocols';
    if (requestBody.cut !== undefined && edits.body === undefined)
      return 'its body was not stored completely';
    if (requestBody.bytes > 0 && requestMs === undefined && edits.body === undefined)
      return 'its body did not arrive completely';
    if (!this.#handlers.has(service)) return `${service} is no longer inspected`;
    return undefined;
  }

  /** Sends the request to the service again. Returns the id of the new request. */
  replay(recording: Recording, edits: ReplayEdits): number {
    const exchange = new ReplayExchange(recording, edits, this.store.limits.replayMs);
    const [serve] = this.#handlers.get(recording.service) ?? [];
    serve?.(exchange);
    return exchange.recordedAs;
  }

  /** Sends the request again and waits for the result. Throws if that is not possible. */
  async replayAndWait(id: number): Promise<RequestRow> {
    const recording = await this.find(id);
    if (!recording)
      throw new PortalError('request_unknown', `request ${idText(id)} is not recorded, or was deleted`);
    const why = this.noReplay(recording);
    if (why !== undefined)
      throw new PortalError('request_not_replayable', `request ${idText(id)} cannot be replayed: ${why}`);
    const replayed = this.replay(recording, {});
    const row = await this.#finished(replayed);
    // So that the caller finds it.
    await this.#history?.flush();
    return row;
  }

  /** Resolves once the request has ended. A replayed request has a timeout. */
  #finished(id: number): Promise<RequestRow> {
    const finished = deferred<RequestRow>();
    const look = (): void => {
      const recording = this.store.get(id);
      if (!recording)
        finished.reject(
          new PortalError('request_unknown', `request ${idText(id)} was removed to make room for others`),
        );
      else if (isFinished(recording)) finished.resolve(rowOf(recording));
    };
    const stop = this.store.listen({ changed: look, cleared: look });
    look();
    return within(finished.promise, this.store.limits.replayMs + 1_000, 'the replayed request').finally(stop);
  }

  #maskOf(service: string): ReadonlySet<string> {
    return this.#masks.get(service) ?? NO_NAMES;
  }

  /** Runs while a visitor waits. */
  #noteEnd(id: number): void {
    const recording = this.#history && this.store.get(id);
    if (recording && isFinished(recording)) this.#keep(recording);
  }

  #keep(recording: Recording): void {
    const { id, service } = recording;
    // Requests from before the history started do not belong to it.
    if (runOf(id) !== this.#history?.run || this.#withoutHistory.has(service)) return;
    this.#history.add(recording, this.#maskOf(service));
  }

  #record(service: string, exchange: Exchange, headers: Headers): Exchange {
    const own = exchange instanceof OwnExchange ? exchange : undefined;
    if (!own && !this.store.admits()) return exchange;
    // The body of the PIN form contains the PIN.
    const withholdBody = GATE_PATHS.has(pathOf(exchange.target));
    const recorded = inspected(exchange, this.store, {
      service,
      withholdBody,
      replayOf: own?.replayOf,
      deliveryOf: own?.deliveryOf,
      headers,
    });
    if (own) own.recordedAs = this.store.lastId;
    return recorded;
  }
}
