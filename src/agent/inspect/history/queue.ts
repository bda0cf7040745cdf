import type { Recording } from '../recording.js';
import type { Outcome } from '../wire.js';
import type { HistoryLimits } from './limits.js';

export interface Waiting {
  readonly recording: Recording;
  readonly mask: ReadonlySet<string>;
  readonly bytes: number;
}

/** Finished requests that are not yet written. Limited; more are dropped and counted. */
export class Queue {
  readonly #limits: HistoryLimits;
  readonly #waiting = new Map<Recording, Waiting>();
  /** The written outcome of each request. If a done request turns out broken, it is written again. */
  readonly #written = new WeakMap<Recording, Outcome>();
  #bytes = 0;
  lost = 0;

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(recording: Recording, mask: ReadonlySet<string>): void {
    if (this.#waiting.has(recording) || this.#written.get(recording) === recording.outcome) return;
    const bytes = recording.requestBody.keptBytes + recording.responseBody.keptBytes;
    this.#written.set(recording, recording.outcome);
    if (this.#waiting.size >= this.#limits.maxWaiting || this.#bytes + bytes > this.#limits.maxWaitingBytes) {
      this.lost++;
      return;
    }
    this.#waiting.set(recording, { recording, mask, bytes });
    this.#bytes += bytes;
  }

  next(): Waiting | undefined {
    for (const waiting of this.#waiting.values()) {
      this.#waiting.delete(waiting.recording);
      this.#bytes -= waiting.bytes;
      this.#written.set(waiting.recording, waiting.recording.outcome);
      return waiting;
    }
    return undefined;
  }

  /** Drops all waiting requests and `more` that were already taken. */
  lose(more = 0): void {
    this.lost += this.#waiting.size + more;
    this.clear();
  }

  clear(): void {
    this.#waiting.clear();
    this.#bytes = 0;
  }
}
