import { PortalError } from '../../lib/errors.js';
import { deferred, within } from '../../lib/wait.js';
import { PIN_PATH } from '../access/pin-page.js';
import type { Exchange } from '../modes/http/exchange.js';
import type { InspectSpec } from '../spec.js';
import { inspected } from './exchange.js';
import type { RequestHistory } from './history/history.js';
import { firstOfRun, idText, runOf } from './history/ids.js';
import type { Recording } from './recording.js';
import { ReplayExchange } from './replay.js';
import { RequestStore } from './store.js';
import { detailsOf, rowOf } from './view.js';
import type { ReplayEdits, RequestDetails, RequestRow } from './wire.js';

const NO_NAMES: ReadonlySet<string> = new Set();

const isOver = ({ outcome }: Recording): boolean => outcome === 'done' || outcome === 'broken';

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

  /** Services of which nothing is kept beyond this run. */
  readonly #unkept = new Set<string>();
  #history: RequestHistory | undefined;

  constructor(store = new RequestStore()) {
    this.store = store;
    store.listen({ changed: (id) => this.#noteOver(id) });
  }

  /** Where requests go that are over; while there is nothing, they are in memory alone. */
  get history(): RequestHistory | undefined {
    return this.#history;
  }

  set history(history: RequestHistory | undefined) {
    this.#history = history;
    if (history) this.store.continueAfter(firstOfRun(history.run));
  }

  /** @param serve the service's handler, for what is replayed */
  open(service: string, { mask, history }: InspectSpec, serve: Serve): Recorder {
    this.#masks.set(service, new Set(mask));
    if (history === false) this.#unkept.add(service);
    else this.#unkept.delete(service);
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

  /** One that is in memory, or else in the history. */
  async find(id: number): Promise<Recording | undefined> {
    return this.store.get(id) ?? (await this.#history?.find(id));
  }

  /** A recording as the page may see it: what is to be masked now, and what was to be when it was recorded. */
  details(recording: Recording, reveal: boolean): RequestDetails {
    const mask = new Set([...this.#maskOf(recording.service), ...(recording.past?.mask ?? [])]);
    return detailsOf(recording, { reveal, noReplay: this.noReplay(recording), mask });
  }

  /** Forgets what was recorded, of earlier runs as well. */
  async clear(): Promise<void> {
    this.store.clear();
    await this.#history?.clear();
  }

  /** Forgets everything of this identity; the file of the history that is there after that. */
  wipe(): Promise<string | undefined> {
    this.store.clear();
    return this.#history?.wipe() ?? Promise.resolve(undefined);
  }

  /** What is under way is kept as it is, for this is the end of it; nothing is, after that. */
  async endHistory(): Promise<void> {
    if (!this.#history) return;
    for (const recording of this.store.all())
      if (!isOver(recording)) this.#keep({ ...recording, outcome: 'broken' });
    const history = this.#history;
    this.#history = undefined;
    await history.close();
  }

  /** Why a request cannot be replayed; undefined where it can. */
  noReplay(
    { requestBody, requestMs, upgrade, service, past }: Recording,
    edits: ReplayEdits = {},
  ): string | undefined {
    // Another portal.yaml may have a service of this name.
    if (past && past.source !== this.#history?.source) return 'it is of another portal.yaml';
    if (upgrade !== undefined) return 'it asked for another protocol';
    if (requestBody.cut !== undefined && edits.body === undefined) return 'its body is not kept whole';
    if (requestBody.bytes > 0 && requestMs === undefined && edits.body === undefined)
      return 'its body did not arrive whole';
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

  /** Asks the service once more, and waits for what comes of it. Throws where that cannot be. */
  async replayOver(id: number): Promise<RequestRow> {
    const recording = await this.find(id);
    if (!recording)
      throw new PortalError('request_unknown', `request ${idText(id)} is not kept, or not any more`);
    const why = this.noReplay(recording);
    if (why !== undefined)
      throw new PortalError('request_not_replayable', `request ${idText(id)} cannot be replayed: ${why}`);
    const replayed = this.replay(recording, {});
    const row = await this.#over(replayed);
    // So that whoever is told finds it.
    await this.#history?.flush();
    return row;
  }

  /** Once the request is over; bounded, for a replayed one is. */
  #over(id: number): Promise<RequestRow> {
    const over = deferred<RequestRow>();
    const look = (): void => {
      const recording = this.store.get(id);
      if (!recording)
        over.reject(new PortalError('request_unknown', `request ${idText(id)} was pushed out by others`));
      else if (isOver(recording)) over.resolve(rowOf(recording));
    };
    const stop = this.store.listen({ changed: look, cleared: look });
    look();
    return within(over.promise, this.store.bounds.replayMs + 1_000, 'the replayed request').finally(stop);
  }

  #maskOf(service: string): ReadonlySet<string> {
    return this.#masks.get(service) ?? NO_NAMES;
  }

  /** On the visitor's time. */
  #noteOver(id: number): void {
    const recording = this.#history && this.store.get(id);
    if (recording && isOver(recording)) this.#keep(recording);
  }

  #keep(recording: Recording): void {
    const { id, service } = recording;
    // What began before there was a history is none of its.
    if (runOf(id) !== this.#history?.run || this.#unkept.has(service)) return;
    this.#history.add(recording, this.#maskOf(service));
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
