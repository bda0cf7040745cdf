import type { WebSocket } from 'ws';
import type { RequestStore } from './store.js';
import { rowOf } from './view.js';
import type { LiveMessage } from './wire.js';

/** A page with this much unread data gets no updates for now. */
const MAX_UNREAD_BYTES = 1024 * 1024;

export interface LiveSource {
  readonly store: RequestStore;
  /** The current state, as JSON of a `state` message. */
  readonly state: () => string;
}

/**
 * An open page. Updates are sent at a limited pace. Pending updates are a set of ids, so a slow page costs little, and one
 * that falls too far behind is reloaded.
 */
export class LivePage {
  readonly #socket: WebSocket;
  readonly #source: LiveSource;
  readonly #stopListening: () => void;
  #pending = new Set<number>();
  #begins = true;
  #isStateDue = true;
  #lastState = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, source: LiveSource) {
    this.#socket = socket;
    this.#source = source;
    this.#stopListening = source.store.listen({
      changed: (id) => this.#note(id),
      cleared: () => this.#resync(),
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#stopListening();
      clearTimeout(this.#timer);
    });
    this.#restart();
    this.#flush();
  }

  /** Services, leases or relays may have changed. */
  stateChanged(): void {
    this.#isStateDue = true;
    this.#schedule();
  }

  #resync(): void {
    this.#restart();
    this.#schedule();
  }

  close(): void {
    this.#socket.close(1001, 'the inspector has stopped');
    this.#socket.terminate();
  }

  #note(id: number): void {
    this.#pending.add(id);
    // The set contains ids that were removed meanwhile.
    if (this.#pending.size > 2 * this.#source.store.limits.maxRequests) this.#restart();
    this.#schedule();
  }

  #restart(): void {
    this.#begins = true;
    this.#pending = new Set();
    for (const { id } of this.#source.store.all()) this.#pending.add(id);
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, this.#source.store.limits.pageEveryMs);
  }

  #flush(): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > MAX_UNREAD_BYTES) return this.#schedule();
    this.#sendState();
    if (this.#pending.size > 0 || this.#begins) this.#sendRequests();
    if (this.#pending.size > 0) this.#schedule();
  }

  #sendState(): void {
    if (!this.#isStateDue) return;
    this.#isStateDue = false;
    const state = this.#source.state();
    if (state !== this.#lastState) this.#socket.send(state);
    this.#lastState = state;
  }

  #sendRequests(): void {
    const { store } = this.#source;
    const rows = [];
    for (const id of this.#pending) {
      if (rows.length >= store.limits.maxRows) break;
      this.#pending.delete(id);
      const recording = store.get(id);
      if (recording) rows.push(rowOf(recording));
    }
    const message: LiveMessage = {
      type: 'requests',
      ...(this.#begins && { reset: true }),
      rows,
      oldest: store.oldest,
      dropped: store.dropped,
    };
    this.#begins = false;
    this.#socket.send(JSON.stringify(message));
  }
}
