import { ByteRate } from '../../net/rate.js';
import { INSPECT_LIMITS, type InspectLimits } from './limits.js';
import type { Recording } from './recording.js';

/** Memory of a recording in addition to its header fields and bodies. */
const OVERHEAD_BYTES = 1_024;

export interface StoreListener {
  /** This request has changed. */
  readonly changed: (id: number) => void;
  /** All requests were removed. */
  readonly cleared?: () => void;
}

/** Owns the recordings, limited in number and in bytes: the oldest are removed. Nothing here leaves the process. */
export class RequestStore {
  readonly limits: InspectLimits;
  /** Oldest first. */
  readonly #recordings = new Map<number, { readonly recording: Recording; bytes: number }>();
  readonly #rate: ByteRate;
  readonly #bodyRate: ByteRate;
  readonly #listeners = new Set<StoreListener>();
  #bytes = 0;
  #lastId = 0;
  /** The oldest id. Ids are consecutive, and asking a Map for its first key is slow after removals. */
  #oldest = 1;
  /** Id ranges that were never assigned. */
  #gaps: { readonly from: number; readonly to: number }[] = [];
  /** Requests that exceeded the limit and were not recorded. */
  dropped = 0;

  constructor(limits: Partial<InspectLimits> = {}) {
    this.limits = { ...INSPECT_LIMITS, ...limits };
    this.#rate = new ByteRate(this.limits.requestsPerSecond * OVERHEAD_BYTES);
    this.#bodyRate = new ByteRate(this.limits.bodyBytesPerSecond);
  }

  /** Whether one more request may be recorded now. Counts it as dropped if not. */
  admits(): boolean {
    if (this.#rate.tryTake(OVERHEAD_BYTES)) return true;
    this.dropped++;
    return false;
  }

  readonly admitsBody = (bytes: number): boolean => this.#bodyRate.tryTake(bytes);

  get lastId(): number {
    return this.#lastId;
  }

  /** Makes ids continue after `id`. Never goes back. */
  continueAfter(id: number): void {
    if (id <= this.#lastId) return;
    if (this.size === 0) this.#oldest = id + 1;
    else this.#gaps.push({ from: this.#lastId + 1, to: id });
    this.#lastId = id;
  }

  nextId(): number {
    return ++this.#lastId;
  }

  add(recording: Recording): void {
    const bytes = OVERHEAD_BYTES + sizeOf(recording.requestHeaders) + recording.target.length;
    this.#recordings.set(recording.id, { recording, bytes });
    this.#bytes += bytes;
    this.#makeRoom();
    this.#tell(recording.id);
  }

  /** Reports `bytes` more than before; 0 for another change. */
  changed(id: number, bytes = 0): void {
    const entry = this.#recordings.get(id);
    if (!entry) return;
    entry.bytes += bytes;
    this.#bytes += bytes;
    if (bytes > 0) this.#makeRoom();
    this.#tell(id);
  }

  get(id: number): Recording | undefined {
    return this.#recordings.get(id)?.recording;
  }

  *all(): Iterable<Recording> {
    for (const { recording } of this.#recordings.values()) yield recording;
  }

  get size(): number {
    return this.#recordings.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** All ids below this one were removed. */
  get oldest(): number {
    return this.#oldest;
  }

  clear(): void {
    this.#recordings.clear();
    this.#bytes = 0;
    this.#oldest = this.#lastId + 1;
    this.#gaps = [];
    this.dropped = 0;
    for (const { cleared } of this.#listeners) cleared?.();
  }

  /** Listeners run while a visitor waits, so they must be cheap. */
  listen(listener: StoreListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(id: number): void {
    for (const { changed } of this.#listeners) changed(id);
  }

  #makeRoom(): void {
    const { maxRequests, maxTotalBytes } = this.limits;
    while (this.#recordings.size > maxRequests || this.#bytes > maxTotalBytes) {
      this.#bytes -= this.#recordings.get(this.#oldest)?.bytes ?? 0;
      this.#recordings.delete(this.#oldest++);
      const [gap] = this.#gaps;
      if (this.#oldest !== gap?.from) continue;
      this.#oldest = gap.to + 1;
      this.#gaps.shift();
    }
  }
}

/** The approximate memory of header fields. */
export function sizeOf(headers: readonly string[]): number {
  let bytes = 0;
  for (const text of headers) bytes += text.length + 16;
  return bytes;
}
